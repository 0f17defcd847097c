//! The relations that the sample application lives by and its database does not know: the one list that the generator plants
//! orphans by, the traffic deletes by, and the sample's migration is checked against.

/// The schema: statements that each end with a semicolon at the end of a line.
pub(crate) const SCHEMA: &str = include_str!("schema.sql");

/// Ids from here on belong to rows that the running application wrote; the generator stays below. Every AUTO_INCREMENT of the
/// schema starts here.
pub(crate) const FIRST_APPLICATION_ID: u64 = 1_000_000_000;

/// What becomes of the children when their parent goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDelete {
    /// The parent stays as long as it has children.
    Restrict,
    /// The children go too.
    Cascade,
    /// The children stay without a parent.
    SetNull,
}

/// What the engineer chose for children whose parent is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// There are none.
    None,
    /// The rows go.
    Delete,
    /// The values go.
    SetNull,
}

/// One relation.
#[derive(Debug)]
pub(crate) struct Relation {
    /// Name of the foreign key wanted for it.
    pub(crate) name: &'static str,
    /// The child table.
    pub(crate) child: &'static str,
    /// Columns of the child.
    pub(crate) columns: &'static [&'static str],
    /// The parent table.
    pub(crate) parent: &'static str,
    /// Columns of the parent.
    pub(crate) parent_columns: &'static [&'static str],
    /// What happens when a parent goes.
    pub(crate) on_delete: OnDelete,
    /// What to do with orphans.
    pub(crate) orphans: Orphans,
}

const fn relation(
    name: &'static str,
    child: &'static str,
    columns: &'static [&'static str],
    parent: &'static str,
    on_delete: OnDelete,
    orphans: Orphans,
) -> Relation {
    Relation { name, child, columns, parent, parent_columns: &["id"], on_delete, orphans }
}

use OnDelete::{Cascade, Restrict, SetNull};

/// Relations of the first stage: everything that refers to a user.
pub(crate) const TO_USERS: &[Relation] = &[
    relation("fk_user_auth_providers_user", "user_auth_providers", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_user_sessions_user", "user_sessions", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_user_preferences_user", "user_preferences", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_device_tokens_user", "device_tokens", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_api_keys_user", "api_keys", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_notifications_user", "notifications", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_agency_members_user", "agency_members", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_protocols_author", "protocols", &["author_id"], "users", Restrict, Orphans::SetNull),
    relation(
        "fk_protocol_versions_approver",
        "protocol_versions",
        &["approved_by"],
        "users",
        SetNull,
        Orphans::SetNull,
    ),
    relation("fk_protocol_reviews_reviewer", "protocol_reviews", &["reviewer_id"], "users", Restrict, Orphans::Delete),
    relation("fk_protocol_comments_user", "protocol_comments", &["user_id"], "users", SetNull, Orphans::SetNull),
    relation("fk_bookmark_folders_owner", "bookmark_folders", &["owner_id"], "users", Cascade, Orphans::Delete),
    relation("fk_bookmarks_user", "bookmarks", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_shared_links_creator", "shared_links", &["created_by"], "users", Cascade, Orphans::Delete),
    relation("fk_training_completions_user", "training_completions", &["user_id"], "users", Cascade, Orphans::Delete),
    relation("fk_queries_user", "queries", &["user_id"], "users", SetNull, Orphans::SetNull),
    relation("fk_feedback_user", "feedback", &["user_id"], "users", SetNull, Orphans::SetNull),
    relation("fk_subscriptions_user", "subscriptions", &["user_id"], "users", Restrict, Orphans::None),
    relation("fk_invoices_user", "invoices", &["user_id"], "users", Restrict, Orphans::None),
    relation("fk_conversion_events_user", "conversion_events", &["user_id"], "users", SetNull, Orphans::SetNull),
    relation("fk_integration_logs_user", "integration_logs", &["user_id"], "users", SetNull, Orphans::SetNull),
    relation("fk_audit_log_actor", "audit_log", &["actor_id"], "users", SetNull, Orphans::SetNull),
];

/// Relations of the second stage: everything else.
pub(crate) const REMAINING: &[Relation] = &[
    relation("fk_agencies_county", "agencies", &["county_id"], "counties", Restrict, Orphans::SetNull),
    relation("fk_stations_agency", "stations", &["agency_id"], "agencies", Cascade, Orphans::Delete),
    relation("fk_agency_members_agency", "agency_members", &["agency_id"], "agencies", Cascade, Orphans::Delete),
    relation(
        "fk_user_preferences_county",
        "user_preferences",
        &["home_county_id"],
        "counties",
        SetNull,
        Orphans::SetNull,
    ),
    relation("fk_protocols_county", "protocols", &["county_id"], "counties", Restrict, Orphans::Delete),
    relation("fk_protocols_category", "protocols", &["category_id"], "protocol_categories", Restrict, Orphans::SetNull),
    relation(
        "fk_protocol_versions_protocol",
        "protocol_versions",
        &["protocol_id"],
        "protocols",
        Cascade,
        Orphans::Delete,
    ),
    Relation {
        name: "fk_protocol_chunks_version",
        child: "protocol_chunks",
        columns: &["protocol_id", "version"],
        parent: "protocol_versions",
        parent_columns: &["protocol_id", "version"],
        on_delete: Cascade,
        orphans: Orphans::Delete,
    },
    relation(
        "fk_protocol_reviews_protocol",
        "protocol_reviews",
        &["protocol_id"],
        "protocols",
        Cascade,
        Orphans::Delete,
    ),
    relation(
        "fk_protocol_comments_protocol",
        "protocol_comments",
        &["protocol_id"],
        "protocols",
        Cascade,
        Orphans::Delete,
    ),
    relation(
        "fk_protocol_comments_parent",
        "protocol_comments",
        &["parent_id"],
        "protocol_comments",
        Cascade,
        Orphans::Delete,
    ),
    relation("fk_bookmarks_protocol", "bookmarks", &["protocol_id"], "protocols", Cascade, Orphans::Delete),
    relation("fk_bookmarks_folder", "bookmarks", &["folder_id"], "bookmark_folders", SetNull, Orphans::SetNull),
    relation("fk_shared_links_protocol", "shared_links", &["protocol_id"], "protocols", Cascade, Orphans::Delete),
    relation(
        "fk_training_completions_protocol",
        "training_completions",
        &["protocol_id"],
        "protocols",
        Cascade,
        Orphans::Delete,
    ),
    relation("fk_queries_county", "queries", &["county_id"], "counties", SetNull, Orphans::SetNull),
    relation("fk_query_results_query", "query_results", &["query_id"], "queries", Cascade, Orphans::Delete),
    relation("fk_query_results_chunk", "query_results", &["chunk_id"], "protocol_chunks", SetNull, Orphans::SetNull),
    relation("fk_feedback_query", "feedback", &["query_id"], "queries", SetNull, Orphans::SetNull),
    relation("fk_subscriptions_plan", "subscriptions", &["plan_id"], "plans", Restrict, Orphans::None),
    relation("fk_invoices_subscription", "invoices", &["subscription_id"], "subscriptions", Restrict, Orphans::None),
    relation(
        "fk_conversion_events_subscription",
        "conversion_events",
        &["subscription_id"],
        "subscriptions",
        SetNull,
        Orphans::SetNull,
    ),
    // The column does not exist yet: the migration adds it and fills it by the agency's name.
    relation(
        "fk_integration_logs_agency",
        "integration_logs",
        &["internal_agency_id"],
        "agencies",
        SetNull,
        Orphans::None,
    ),
];

/// All relations.
pub(crate) fn all() -> impl Iterator<Item = &'static Relation> {
    TO_USERS.iter().chain(REMAINING)
}

/// A unique constraint that the application relies on.
#[derive(Debug)]
pub(crate) struct Unique {
    /// Name of the constraint wanted for it.
    pub(crate) name: &'static str,
    /// The table.
    pub(crate) table: &'static str,
    /// Columns that must be unique together.
    pub(crate) columns: &'static [&'static str],
}

/// The unique constraints.
pub(crate) const UNIQUES: &[Unique] = &[
    Unique { name: "uq_users_email", table: "users", columns: &["email"] },
    Unique {
        name: "uq_user_auth_providers_user_provider",
        table: "user_auth_providers",
        columns: &["user_id", "provider"],
    },
    Unique { name: "uq_api_keys_hash", table: "api_keys", columns: &["key_hash"] },
    Unique { name: "uq_agencies_name", table: "agencies", columns: &["name"] },
    Unique { name: "uq_protocols_county_code", table: "protocols", columns: &["county_id", "code"] },
    Unique { name: "uq_bookmarks_user_protocol", table: "bookmarks", columns: &["user_id", "protocol_id"] },
];

/// The columns that the running application changes on generated rows. Its ledger knows their last values; comparisons of tables
/// leave them out.
pub(crate) const VOLATILE: &[(&str, &str)] = &[
    ("users", "last_seen_at"),
    ("user_sessions", "last_active_at"),
    ("protocols", "view_count"),
    ("subscriptions", "renewals"),
];
