//! What the generator writes into each table: its columns' values, its share of all rows, and the defects that are planted.

/// A table of the application, in the order in which they are listed in [`TABLES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub(crate) enum Table {
    Users,
    UserAuthProviders,
    UserSessions,
    UserPreferences,
    DeviceTokens,
    ApiKeys,
    Notifications,
    Counties,
    Agencies,
    Stations,
    AgencyMembers,
    ProtocolCategories,
    Protocols,
    ProtocolVersions,
    ProtocolChunks,
    ProtocolReviews,
    ProtocolComments,
    BookmarkFolders,
    Bookmarks,
    SharedLinks,
    TrainingCompletions,
    Queries,
    QueryResults,
    Feedback,
    Plans,
    Subscriptions,
    Invoices,
    ConversionEvents,
    IntegrationLogs,
    AuditLog,
}

/// How the value of a column is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    /// The row's own id.
    Id,
    /// The id of a row of another table that exists and stays.
    Parent(Table),
    /// The same, NULL in so many of a hundred rows.
    MaybeParent(Table, u32),
    /// A text and the row's id: unique.
    Numbered(&'static str),
    /// So many words at most.
    Words(usize),
    /// The same, NULL in so many of a hundred rows.
    MaybeWords(usize, u32),
    /// One of these literals.
    OneOf(&'static [&'static str]),
    /// A whole number from 0 up to this one.
    Number(u64),
    /// The same, NULL in so many of a hundred rows.
    MaybeNumber(u64, u32),
    /// A number with digits after the point: the bound in the last digit's units, and how many digits.
    Decimal(u64, u32),
    /// A day.
    Date,
    /// A moment with so many digits of a second.
    Moment(usize),
    /// The same, NULL in so many of a hundred rows.
    MaybeMoment(usize, u32),
    /// A JSON document, NULL in so many of a hundred rows.
    Json(u32),
    /// So many random bytes.
    Bytes(usize),
    /// So many random hexadecimal digits, as text.
    Hex(usize),
    /// The user of a (user, second column) pair that no other clean row of the table has.
    PairUser,
    /// Its second half: an authentication provider.
    PairProvider,
    /// Its second half: a protocol.
    PairProtocol,
    /// The comment just before, in short threads.
    Thread,
    /// A version of the chunk's protocol; NULL in so many of a hundred rows.
    Version(u32),
    /// The name of an agency that exists, sometimes in capitals: the column's collation takes them for the same.
    AgencyName,
}

/// A defect. Every block of a table's ids carries each of the table's defects once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// The parents of these relations do not exist.
    Orphan(&'static [&'static str]),
    /// The parent exists, but goes itself: it is its table's defect of this number.
    LostWith(&'static str, usize),
    /// The columns of this unique constraint are those of the row so many ids before.
    DuplicateOf(&'static str, u64),
    /// The agency's name is nobody's. Only so many times: the migration allows for a fixed number.
    Unmapped,
    /// One half of a composite reference dangles, the other is NULL: by SQL's rules (MATCH SIMPLE) not an orphan.
    HalfNull,
}

/// Blocks that carry [`Plant::Unmapped`]; in later ones the row is sound.
pub(crate) const UNMAPPED_BLOCKS: u64 = 60;

/// One table.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) table: Table,
    pub(crate) name: &'static str,
    /// Rows out of 100,000.
    pub(crate) share: u64,
    /// Ids at least and at most, whatever the share says.
    pub(crate) bounds: (u64, u64),
    pub(crate) columns: &'static [(&'static str, Value)],
    pub(crate) plants: &'static [Plant],
}

const ANY: (u64, u64) = (160, u64::MAX);

const fn contents(
    table: Table,
    name: &'static str,
    share: u64,
    bounds: (u64, u64),
    columns: &'static [(&'static str, Value)],
    plants: &'static [Plant],
) -> Contents {
    Contents { table, name, share, bounds, columns, plants }
}

use Plant::{DuplicateOf, HalfNull, LostWith, Orphan, Unmapped};
use Table::*;
use Value::*;

/// Number of the defect of `protocols` whose rows go: no county.
pub(crate) const PROTOCOL_WITHOUT_COUNTY: usize = 0;

/// Every table that the generator fills. `user_preferences` and `protocol_versions` are keyed by their parent's id; their rows
/// and defects are in `rows`.
#[rustfmt::skip] // A table, to be read across.
pub(crate) const TABLES: &[Contents] = &[
    contents(Users, "users", 6_000, ANY, &[
        ("id", Id), ("email", Numbered("'user%@ems.example'")), ("display_name", Words(2)),
        ("role", OneOf(&["'paramedic'", "'emt'", "'physician'", "'nurse'", "'administrator'"])),
        ("status", OneOf(&["'active'", "'active'", "'invited'", "'disabled'"])), ("settings", Json(30)),
        ("last_seen_at", MaybeMoment(3, 20)), ("created_at", Moment(0)), ("updated_at", Moment(0)),
    ], &[]),
    contents(UserAuthProviders, "user_auth_providers", 5_000, ANY, &[
        ("id", Id), ("user_id", PairUser), ("provider", PairProvider), ("subject", Hex(24)), ("linked_at", Moment(0)),
    ], &[
        Orphan(&["fk_user_auth_providers_user"]),
        DuplicateOf("uq_user_auth_providers_user_provider", 1), DuplicateOf("uq_user_auth_providers_user_provider", 5),
    ]),
    contents(UserSessions, "user_sessions", 5_000, ANY, &[
        ("id", Id), ("user_id", Parent(Users)), ("token_hash", Bytes(32)), ("ip_address", Bytes(4)),
        ("last_active_at", MaybeMoment(3, 10)), ("expires_at", Moment(0)),
    ], &[Orphan(&["fk_user_sessions_user"])]),
    contents(UserPreferences, "user_preferences", 0, ANY, &[
        ("user_id", Id), ("home_county_id", MaybeParent(Counties, 20)), ("theme", OneOf(&["'light'", "'dark'", "'system'"])),
        ("alerts", OneOf(&["''", "'push'", "'email,push'", "'email,push,sms'"])), ("preferences", Json(40)), ("updated_at", Moment(0)),
    ], &[Orphan(&["fk_user_preferences_user"]), Orphan(&["fk_user_preferences_county"])]),
    contents(DeviceTokens, "device_tokens", 3_000, ANY, &[
        ("id", Id), ("user_id", Parent(Users)), ("platform", OneOf(&["'ios'", "'android'", "'web'"])), ("token", Hex(64)),
        ("created_at", Moment(0)),
    ], &[Orphan(&["fk_device_tokens_user"])]),
    contents(ApiKeys, "api_keys", 1_000, ANY, &[
        ("id", Id), ("user_id", Parent(Users)), ("label", Words(2)), ("key_hash", Hex(64)),
        ("scopes", OneOf(&["'read'", "'read,write'", "'read,write,export'"])), ("revoked", OneOf(&["b'0'", "b'1'"])),
        ("created_at", Moment(0)),
    ], &[Orphan(&["fk_api_keys_user"])]),
    contents(Notifications, "notifications", 8_000, ANY, &[
        ("id", Id), ("user_id", Parent(Users)),
        ("kind", OneOf(&["'protocol_changed'", "'review_due'", "'billing'", "'system'"])), ("body", Words(8)),
        ("read_at", MaybeMoment(0, 40)), ("created_at", Moment(0)),
    ], &[Orphan(&["fk_notifications_user"])]),
    contents(Counties, "counties", 20, (64, 3_200), &[
        ("id", Id), ("name", Numbered("'County %'")), ("state_code", OneOf(&["'CA'", "'OR'", "'WA'", "'NV'"])),
        ("population", MaybeNumber(9_000_000, 10)), ("created_at", Moment(0)),
    ], &[]),
    contents(Agencies, "agencies", 250, (160, 20_000), &[
        ("id", Id), ("county_id", MaybeParent(Counties, 5)), ("name", Numbered("'Agency % Fire Protection District'")),
        ("license_number", Numbered("'LIC-%'")), ("kind", OneOf(&["'fire'", "'private'", "'hospital'", "'air'"])),
        ("created_at", Moment(0)),
    ], &[Orphan(&["fk_agencies_county"])]),
    contents(Stations, "stations", 600, (160, 60_000), &[
        ("id", Id), ("agency_id", Parent(Agencies)), ("name", Numbered("'Station %'")), ("latitude", Decimal(42_000_000, 6)),
        ("longitude", Decimal(124_000_000, 6)),
    ], &[Orphan(&["fk_stations_agency"])]),
    contents(AgencyMembers, "agency_members", 4_000, ANY, &[
        ("id", Id), ("agency_id", Parent(Agencies)), ("user_id", Parent(Users)),
        ("member_role", OneOf(&["'member'", "'supervisor'", "'medical_director'"])), ("joined_on", Date),
    ], &[Orphan(&["fk_agency_members_user"]), Orphan(&["fk_agency_members_agency"])]),
    contents(ProtocolCategories, "protocol_categories", 1, (40, 40), &[
        ("id", Id), ("name", Numbered("'Category %'")), ("sort_order", Number(100)),
    ], &[]),
    contents(Protocols, "protocols", 1_200, (320, u64::MAX), &[
        ("id", Id), ("county_id", Parent(Counties)), ("category_id", MaybeParent(ProtocolCategories, 10)),
        ("author_id", MaybeParent(Users, 15)), ("code", Numbered("'P-%'")), ("title", Words(6)),
        ("status", OneOf(&["'draft'", "'published'", "'published'", "'retired'"])), ("metadata", Json(30)), ("view_count", Number(5_000)),
        ("created_at", Moment(0)), ("updated_at", Moment(0)),
    ], &[Orphan(&["fk_protocols_county"]), Orphan(&["fk_protocols_author"]), Orphan(&["fk_protocols_category"])]),
    contents(ProtocolVersions, "protocol_versions", 0, ANY, &[
        ("approved_by", MaybeParent(Users, 30)), ("change_note", Words(5)), ("effective_on", Date),
    ], &[
        Orphan(&["fk_protocol_versions_approver"]), Orphan(&["fk_protocol_versions_protocol"]),
        LostWith("fk_protocol_versions_protocol", PROTOCOL_WITHOUT_COUNTY),
    ]),
    contents(ProtocolChunks, "protocol_chunks", 12_000, ANY, &[
        ("id", Id), ("protocol_id", Parent(Protocols)), ("version", Version(10)), ("position", Number(400)), ("content", Words(24)),
        ("embedding", Bytes(16)), ("created_at", Moment(0)),
    ], &[
        Orphan(&["fk_protocol_chunks_version"]), LostWith("fk_protocol_chunks_version", PROTOCOL_WITHOUT_COUNTY), HalfNull,
    ]),
    contents(ProtocolReviews, "protocol_reviews", 2_000, ANY, &[
        ("id", Id), ("protocol_id", Parent(Protocols)), ("reviewer_id", Parent(Users)),
        ("verdict", OneOf(&["'approve'", "'revise'", "'reject'"])), ("remarks", MaybeWords(12, 30)), ("reviewed_at", Moment(6)),
    ], &[
        Orphan(&["fk_protocol_reviews_protocol"]), Orphan(&["fk_protocol_reviews_reviewer"]),
        LostWith("fk_protocol_reviews_protocol", PROTOCOL_WITHOUT_COUNTY),
    ]),
    contents(ProtocolComments, "protocol_comments", 3_000, ANY, &[
        ("id", Id), ("protocol_id", Parent(Protocols)), ("user_id", MaybeParent(Users, 5)), ("parent_id", Thread), ("body", Words(14)),
        ("created_at", Moment(0)),
    ], &[
        Orphan(&["fk_protocol_comments_user"]), Orphan(&["fk_protocol_comments_protocol"]), Orphan(&["fk_protocol_comments_parent"]),
        LostWith("fk_protocol_comments_protocol", PROTOCOL_WITHOUT_COUNTY),
        // Replies to comments that go, and replies to those.
        LostWith("fk_protocol_comments_parent", 1), LostWith("fk_protocol_comments_parent", 4),
        LostWith("fk_protocol_comments_parent", 5),
    ]),
    contents(BookmarkFolders, "bookmark_folders", 1_000, (160, 8_000), &[
        ("id", Id), ("owner_id", Parent(Users)), ("name", Words(2)), ("color", OneOf(&["'#336699'", "'#cc3300'", "'#009966'"])),
        ("created_at", Moment(0)),
    ], &[Orphan(&["fk_bookmark_folders_owner"])]),
    contents(Bookmarks, "bookmarks", 9_000, ANY, &[
        ("id", Id), ("user_id", PairUser), ("protocol_id", PairProtocol), ("folder_id", MaybeParent(BookmarkFolders, 50)),
        ("note", MaybeWords(6, 60)), ("position", Decimal(9_000_000, 4)), ("created_at", Moment(0)),
    ], &[
        Orphan(&["fk_bookmarks_user"]), Orphan(&["fk_bookmarks_protocol"]), Orphan(&["fk_bookmarks_user", "fk_bookmarks_protocol"]),
        LostWith("fk_bookmarks_protocol", PROTOCOL_WITHOUT_COUNTY), Orphan(&["fk_bookmarks_folder"]), LostWith("fk_bookmarks_folder", 0),
        DuplicateOf("uq_bookmarks_user_protocol", 1), DuplicateOf("uq_bookmarks_user_protocol", 5),
        DuplicateOf("uq_bookmarks_user_protocol", 1),
    ]),
    contents(SharedLinks, "shared_links", 2_000, ANY, &[
        ("id", Id), ("created_by", Parent(Users)), ("protocol_id", Parent(Protocols)), ("slug", Hex(16)), ("expires_at", MaybeMoment(0, 50)),
    ], &[
        Orphan(&["fk_shared_links_creator"]), Orphan(&["fk_shared_links_protocol"]),
        LostWith("fk_shared_links_protocol", PROTOCOL_WITHOUT_COUNTY),
    ]),
    contents(TrainingCompletions, "training_completions", 4_000, ANY, &[
        ("id", Id), ("user_id", Parent(Users)), ("protocol_id", Parent(Protocols)), ("score", Decimal(10_000, 2)), ("completed_on", Date),
    ], &[
        Orphan(&["fk_training_completions_user"]), Orphan(&["fk_training_completions_protocol"]),
        LostWith("fk_training_completions_protocol", PROTOCOL_WITHOUT_COUNTY),
    ]),
    contents(Queries, "queries", 10_000, ANY, &[
        ("id", Id), ("user_id", MaybeParent(Users, 20)), ("county_id", MaybeParent(Counties, 30)), ("question", Words(10)),
        ("latency_ms", MaybeNumber(4_000, 5)), ("created_at", Moment(6)),
    ], &[Orphan(&["fk_queries_user"]), Orphan(&["fk_queries_county"])]),
    contents(QueryResults, "query_results", 12_000, ANY, &[
        ("id", Id), ("query_id", Parent(Queries)), ("chunk_id", MaybeParent(ProtocolChunks, 5)), ("rank_position", Number(20)),
        ("score", Decimal(1_000_000, 6)),
    ], &[
        Orphan(&["fk_query_results_query"]), Orphan(&["fk_query_results_chunk"]), LostWith("fk_query_results_chunk", 0),
        LostWith("fk_query_results_chunk", 1),
    ]),
    contents(Feedback, "feedback", 3_000, ANY, &[
        ("id", Id), ("user_id", MaybeParent(Users, 25)), ("query_id", MaybeParent(Queries, 25)), ("rating", MaybeNumber(5, 20)),
        ("comment", MaybeWords(16, 40)), ("created_at", Moment(0)), ("updated_at", Moment(3)),
    ], &[Orphan(&["fk_feedback_user"]), Orphan(&["fk_feedback_query"])]),
    contents(Plans, "plans", 1, (6, 6), &[
        ("id", Id), ("name", Numbered("'Plan %'")), ("monthly_price", Decimal(20_000, 2)),
    ], &[]),
    contents(Subscriptions, "subscriptions", 2_000, ANY, &[
        ("id", Id), ("user_id", Parent(Users)), ("plan_id", Parent(Plans)), ("status", OneOf(&["'trial'", "'active'", "'cancelled'"])),
        ("renewals", Number(40)), ("starts_on", Date),
    ], &[]),
    contents(Invoices, "invoices", 5_000, ANY, &[
        ("id", Id), ("subscription_id", Parent(Subscriptions)), ("user_id", Parent(Users)), ("amount", Decimal(100_000, 2)),
        ("tax", Decimal(10_000, 2)), ("issued_on", Date),
    ], &[]),
    contents(ConversionEvents, "conversion_events", 5_500, ANY, &[
        ("id", Id), ("user_id", MaybeParent(Users, 40)), ("subscription_id", MaybeParent(Subscriptions, 60)),
        ("event_type", OneOf(&["'visit'", "'signup'", "'trial'", "'purchase'", "'churn'"])), ("payload", Json(50)), ("occurred_at", Moment(3)),
    ], &[Orphan(&["fk_conversion_events_user"]), Orphan(&["fk_conversion_events_subscription"])]),
    contents(IntegrationLogs, "integration_logs", 4_000, ANY, &[
        ("id", Id), ("user_id", MaybeParent(Users, 30)), ("agency_name", AgencyName),
        ("partner", OneOf(&["'cad'", "'epcr'", "'hospital'", "'dispatch'"])), ("status_code", OneOf(&["200", "200", "404", "500"])),
        ("payload", Json(20)), ("logged_at", Moment(3)),
    ], &[Orphan(&["fk_integration_logs_user"]), Unmapped]),
    contents(AuditLog, "audit_log", 5_500, ANY, &[
        ("id", Id), ("actor_id", MaybeParent(Users, 10)), ("action", OneOf(&["'login'", "'publish'", "'export'", "'delete'"])),
        ("entity", OneOf(&["'protocol'", "'bookmark'", "'user'"])), ("entity_id", MaybeNumber(100_000, 10)), ("occurred_at", Moment(0)),
    ], &[Orphan(&["fk_audit_log_actor"])]),
];

/// The table of this name.
pub(crate) fn contents_of(name: &str) -> &'static Contents {
    TABLES.iter().find(|contents| contents.name == name).unwrap_or_else(|| panic!("{name} is not in TABLES"))
}
