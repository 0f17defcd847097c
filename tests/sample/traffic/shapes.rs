//! The rows that the running application inserts: which columns it writes, and where their values come from.

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// A row of this table that this connection inserted.
    Own(&'static str),
    /// The same, or NULL.
    MaybeOwn(&'static str),
    /// A generated row of this table that is sound.
    Generated(&'static str),
    /// The name of a generated agency.
    AgencyName,
    /// A text that no other row has.
    Unique(&'static str),
    /// An amount of money below this one.
    Amount(u64),
    /// A whole number from 1 to this one.
    Number(u64),
    /// Always this value.
    Always(&'static str),
}

/// A kind of row.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The table.
    pub(crate) table: &'static str,
    /// The columns that are written.
    pub(crate) columns: &'static [(&'static str, Source)],
    /// The text that is changed later, if any.
    pub(crate) editable: Option<&'static str>,
    /// How often it is inserted by itself; 0 where it comes with others only.
    pub(crate) weight: u32,
}

const fn shape(
    table: &'static str,
    weight: u32,
    editable: Option<&'static str>,
    columns: &'static [(&'static str, Source)],
) -> Shape {
    Shape { table, columns, editable, weight }
}

use Source::{AgencyName, Always, Amount, Generated, MaybeOwn, Number, Own, Unique};

#[rustfmt::skip] // A table, to be read across.
pub(crate) const SHAPES: &[Shape] = &[
    shape("users", 2, Some("display_name"), &[("email", Unique("user-")), ("display_name", Unique("name "))]),
    shape("user_auth_providers", 3, Some("subject"), &[("user_id", Own("users")), ("provider", Unique("p-")), ("subject", Unique("s-"))]),
    shape("user_sessions", 8, None, &[
        ("user_id", Own("users")), ("token_hash", Always("00000000000000000000000000000000")), ("expires_at", Always("2031-01-01 00:00:00")),
    ]),
    shape("user_preferences", 0, None, &[("user_id", Own("users")), ("home_county_id", Generated("counties")), ("theme", Always("dark"))]),
    shape("device_tokens", 3, Some("token"), &[("user_id", Own("users")), ("token", Unique("token-"))]),
    shape("api_keys", 1, Some("label"), &[("user_id", Own("users")), ("label", Unique("key ")), ("key_hash", Unique("hash-"))]),
    shape("notifications", 8, Some("body"), &[("user_id", Own("users")), ("body", Unique("body "))]),
    shape("agencies", 1, Some("license_number"), &[("county_id", Generated("counties")), ("name", Unique("Agency ")), ("license_number", Unique("L"))]),
    shape("stations", 1, Some("name"), &[("agency_id", Own("agencies")), ("name", Unique("Station "))]),
    shape("agency_members", 3, None, &[("agency_id", Generated("agencies")), ("user_id", Own("users")), ("joined_on", Always("2026-01-02"))]),
    shape("protocols", 1, Some("title"), &[
        ("county_id", Generated("counties")), ("category_id", Generated("protocol_categories")), ("author_id", MaybeOwn("users")),
        ("code", Unique("T")), ("title", Unique("title ")),
    ]),
    shape("protocol_versions", 0, Some("change_note"), &[("protocol_id", Own("protocols")), ("version", Number(1)), ("approved_by", MaybeOwn("users")), ("change_note", Unique("note "))]),
    shape("protocol_chunks", 0, Some("content"), &[("protocol_id", Own("protocols")), ("version", Number(1)), ("position", Number(100)), ("content", Unique("content "))]),
    shape("protocol_reviews", 2, Some("remarks"), &[
        ("protocol_id", Generated("protocols")), ("reviewer_id", Own("users")), ("remarks", Unique("remarks ")), ("reviewed_at", Always("2026-02-03 10:11:12.131415")),
    ]),
    shape("protocol_comments", 5, Some("body"), &[
        ("protocol_id", Generated("protocols")), ("user_id", MaybeOwn("users")), ("parent_id", MaybeOwn("protocol_comments")), ("body", Unique("comment ")),
    ]),
    shape("bookmark_folders", 2, Some("name"), &[("owner_id", Own("users")), ("name", Unique("folder "))]),
    shape("bookmarks", 10, Some("note"), &[
        ("user_id", Own("users")), ("protocol_id", Generated("protocols")), ("folder_id", MaybeOwn("bookmark_folders")), ("note", Unique("note ")),
    ]),
    shape("shared_links", 3, None, &[("created_by", Own("users")), ("protocol_id", Generated("protocols")), ("slug", Unique("l-"))]),
    shape("training_completions", 3, None, &[
        ("user_id", Own("users")), ("protocol_id", Generated("protocols")), ("score", Amount(100)), ("completed_on", Always("2026-03-04")),
    ]),
    shape("queries", 3, Some("question"), &[("user_id", MaybeOwn("users")), ("county_id", Generated("counties")), ("question", Unique("question "))]),
    shape("query_results", 2, None, &[("query_id", Own("queries")), ("chunk_id", Generated("protocol_chunks")), ("rank_position", Number(20))]),
    shape("feedback", 4, Some("comment"), &[("user_id", MaybeOwn("users")), ("query_id", MaybeOwn("queries")), ("comment", Unique("feedback "))]),
    shape("subscriptions", 1, None, &[("user_id", Own("users")), ("plan_id", Generated("plans")), ("starts_on", Always("2026-04-05"))]),
    shape("invoices", 2, None, &[
        ("subscription_id", Own("subscriptions")), ("user_id", Own("users")), ("amount", Amount(500)), ("issued_on", Always("2026-05-06")),
    ]),
    shape("conversion_events", 4, None, &[
        ("user_id", MaybeOwn("users")), ("subscription_id", MaybeOwn("subscriptions")), ("occurred_at", Always("2026-06-07 08:09:10.111")),
    ]),
    shape("integration_logs", 1, None, &[("user_id", MaybeOwn("users")), ("agency_name", AgencyName)]),
    shape("audit_log", 5, None, &[("actor_id", MaybeOwn("users")), ("action", Unique("a-")), ("entity", Always("bookmark"))]),
];

/// The shape of this table's rows.
pub(crate) fn shape_of(table: &str) -> &'static Shape {
    SHAPES.iter().find(|shape| shape.table == table).unwrap_or_else(|| panic!("{table} is not in SHAPES"))
}
