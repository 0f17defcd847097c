import { mysqlTable, mysqlSchema, type AnyMySqlColumn, index, primaryKey, int, varchar, mysqlEnum, timestamp, bigint, date, char, decimal, json, datetime, tinyint, text, smallint, varbinary, float, binary } from "drizzle-orm/mysql-core"
import { sql } from "drizzle-orm"

export const agencies = mysqlTable("agencies", {
	id: int({ unsigned: true }).autoincrement().notNull(),
	countyId: int("county_id", { unsigned: true }),
	name: varchar({ length: 120 }).notNull(),
	licenseNumber: varchar("license_number", { length: 20 }),
	kind: mysqlEnum(['fire','private','hospital','air']).default('fire').notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	index("idx_agencies_county").on(table.countyId),
	primaryKey({ columns: [table.id], name: "agencies_id"}),
]);

export const agencyMembers = mysqlTable("agency_members", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	agencyId: int("agency_id", { unsigned: true }).notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	memberRole: mysqlEnum("member_role", ['member','supervisor','medical_director']).default('member').notNull(),
	// you can use { mode: 'date' }, if you want to have Date as type for this column
	joinedOn: date("joined_on", { mode: 'string' }).notNull(),
},
(table) => [
	index("idx_agency_members").on(table.agencyId, table.userId),
	primaryKey({ columns: [table.id], name: "agency_members_id"}),
]);

export const apiKeys = mysqlTable("api_keys", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	label: varchar({ length: 80 }).default('').notNull(),
	keyHash: char("key_hash", { length: 64 }).notNull(),
	// Warning: Can't parse set('read','write','export') from database
	// set('read','write','export')Type: set('read','write','export')("scopes").notNull(),
	// Warning: Can't parse bit(1) from database
	// bit(1)Type: bit(1)("revoked").notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "api_keys_id"}),
]);

export const auditLog = mysqlTable("audit_log", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	actorId: bigint("actor_id", { mode: "number", unsigned: true }),
	action: varchar({ length: 40 }).notNull(),
	entity: varchar({ length: 40 }).notNull(),
	entityId: bigint("entity_id", { mode: "number", unsigned: true }),
	occurredAt: timestamp("occurred_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	index("idx_audit_log_actor").on(table.actorId),
	primaryKey({ columns: [table.id], name: "audit_log_id"}),
]);

export const bookmarkFolders = mysqlTable("bookmark_folders", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	ownerId: int("owner_id").notNull(),
	name: varchar({ length: 80 }).default('').notNull(),
	color: char({ length: 7 }).default('#336699').notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "bookmark_folders_id"}),
]);

export const bookmarks = mysqlTable("bookmarks", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	folderId: bigint("folder_id", { mode: "number", unsigned: true }),
	note: varchar({ length: 500 }),
	position: decimal({ precision: 10, scale: 4 }).default('0.0000').notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	index("idx_bookmarks_folder").on(table.folderId),
	primaryKey({ columns: [table.id], name: "bookmarks_id"}),
]);

export const conversionEvents = mysqlTable("conversion_events", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }),
	subscriptionId: bigint("subscription_id", { mode: "number", unsigned: true }),
	eventType: mysqlEnum("event_type", ['visit','signup','trial','purchase','churn']).default('visit').notNull(),
	payload: json(),
	occurredAt: datetime("occurred_at", { mode: 'string', fsp: 3 }).notNull(),
},
(table) => [
	index("idx_conversion_events_type").on(table.eventType, table.userId),
	primaryKey({ columns: [table.id], name: "conversion_events_id"}),
]);

export const counties = mysqlTable("counties", {
	id: int({ unsigned: true }).autoincrement().notNull(),
	name: varchar({ length: 80 }).notNull(),
	stateCode: char("state_code", { length: 2 }).default('CA').notNull(),
	population: int({ unsigned: true }),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "counties_id"}),
]);

export const deviceTokens = mysqlTable("device_tokens", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	platform: mysqlEnum(['ios','android','web']).default('ios').notNull(),
	token: varchar({ length: 160 }).notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "device_tokens_id"}),
]);

export const feedback = mysqlTable("feedback", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }),
	queryId: bigint("query_id", { mode: "number", unsigned: true }),
	rating: tinyint(),
	comment: text(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
	updatedAt: timestamp("updated_at", { fsp: 3, mode: 'string' }).default(sql`(CURRENT_TIMESTAMP(3))`).onUpdateNow().notNull(),
},
(table) => [
	index("idx_feedback_user").on(table.userId),
	primaryKey({ columns: [table.id], name: "feedback_id"}),
]);

export const integrationLogs = mysqlTable("integration_logs", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }),
	agencyName: varchar("agency_name", { length: 120 }).notNull(),
	partner: mysqlEnum(['cad','epcr','hospital','dispatch']).default('cad').notNull(),
	statusCode: smallint("status_code").default(200).notNull(),
	payload: json(),
	loggedAt: timestamp("logged_at", { fsp: 3, mode: 'string' }).default(sql`(CURRENT_TIMESTAMP(3))`).notNull(),
},
(table) => [
	index("idx_integration_logs_logged").on(table.loggedAt),
	primaryKey({ columns: [table.id], name: "integration_logs_id"}),
]);

export const invoices = mysqlTable("invoices", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	subscriptionId: bigint("subscription_id", { mode: "number", unsigned: true }).notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	amount: decimal({ precision: 10, scale: 2 }).default('0.00').notNull(),
	tax: decimal({ precision: 10, scale: 2 }).default('0.00').notNull(),
	total: decimal({ precision: 11, scale: 2 }).generatedAlwaysAs(sql`(\`amount\` + \`tax\`)`, { mode: "stored" }),
	// you can use { mode: 'date' }, if you want to have Date as type for this column
	issuedOn: date("issued_on", { mode: 'string' }).notNull(),
},
(table) => [
	index("idx_invoices_subscription").on(table.subscriptionId),
	index("idx_invoices_user").on(table.userId),
	primaryKey({ columns: [table.id], name: "invoices_id"}),
]);

export const notifications = mysqlTable("notifications", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	kind: mysqlEnum(['protocol_changed','review_due','billing','system']).default('system').notNull(),
	body: varchar({ length: 255 }).default('').notNull(),
	readAt: datetime("read_at", { mode: 'string'}),
	isRead: tinyint("is_read").generatedAlwaysAs(sql`(\`read_at\` is not null)`, { mode: "virtual" }),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	index("idx_notifications_user").on(table.userId, table.createdAt),
	primaryKey({ columns: [table.id], name: "notifications_id"}),
]);

export const plans = mysqlTable("plans", {
	id: int({ unsigned: true }).autoincrement().notNull(),
	name: varchar({ length: 60 }).notNull(),
	monthlyPrice: decimal("monthly_price", { precision: 8, scale: 2 }).default('0.00').notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "plans_id"}),
]);

export const protocolCategories = mysqlTable("protocol_categories", {
	id: int({ unsigned: true }).autoincrement().notNull(),
	name: varchar({ length: 80 }).notNull(),
	sortOrder: smallint("sort_order").notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "protocol_categories_id"}),
]);

export const protocolChunks = mysqlTable("protocol_chunks", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	version: smallint({ unsigned: true }),
	position: int({ unsigned: true }).default(0).notNull(),
	content: text().notNull(),
	embedding: varbinary({ length: 64 }),
	contentLength: int("content_length", { unsigned: true }).generatedAlwaysAs(sql`char_length(\`content\`)`, { mode: "stored" }),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	index("idx_protocol_chunks_position").on(table.protocolId, table.position),
	primaryKey({ columns: [table.id], name: "protocol_chunks_id"}),
]);

export const protocolComments = mysqlTable("protocol_comments", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }),
	parentId: bigint("parent_id", { mode: "number", unsigned: true }),
	body: varchar({ length: 1000 }).default('').notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	index("idx_protocol_comments_protocol").on(table.protocolId, table.createdAt),
	index("idx_protocol_comments_user").on(table.userId),
	primaryKey({ columns: [table.id], name: "protocol_comments_id"}),
]);

export const protocolReviews = mysqlTable("protocol_reviews", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	reviewerId: bigint("reviewer_id", { mode: "number", unsigned: true }).notNull(),
	verdict: mysqlEnum(['approve','revise','reject']).default('approve').notNull(),
	remarks: text(),
	reviewedAt: datetime("reviewed_at", { mode: 'string', fsp: 6 }).notNull(),
},
(table) => [
	index("idx_protocol_reviews_protocol").on(table.protocolId),
	index("idx_protocol_reviews_reviewer").on(table.reviewerId),
	primaryKey({ columns: [table.id], name: "protocol_reviews_id"}),
]);

export const protocolVersions = mysqlTable("protocol_versions", {
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	version: smallint({ unsigned: true }).notNull(),
	approvedBy: bigint("approved_by", { mode: "number", unsigned: true }),
	changeNote: varchar("change_note", { length: 255 }).default('').notNull(),
	// you can use { mode: 'date' }, if you want to have Date as type for this column
	effectiveOn: date("effective_on", { mode: 'string' }),
},
(table) => [
	primaryKey({ columns: [table.protocolId, table.version], name: "protocol_versions_protocol_id_version"}),
]);

export const protocols = mysqlTable("protocols", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	countyId: int("county_id", { unsigned: true }).notNull(),
	categoryId: int("category_id", { unsigned: true }),
	authorId: bigint("author_id", { mode: "number", unsigned: true }),
	code: varchar({ length: 20 }).notNull(),
	title: varchar({ length: 160 }).notNull(),
	status: mysqlEnum(['draft','published','retired']).default('draft').notNull(),
	metadata: json(),
	viewCount: int("view_count", { unsigned: true }).default(0).notNull(),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
	updatedAt: timestamp("updated_at", { mode: 'string' }).defaultNow().onUpdateNow().notNull(),
},
(table) => [
	index("idx_protocols_county_status").on(table.countyId, table.status),
	index("idx_protocols_category").on(table.categoryId),
	primaryKey({ columns: [table.id], name: "protocols_id"}),
]);

export const queries = mysqlTable("queries", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }),
	countyId: int("county_id", { unsigned: true }),
	question: varchar({ length: 500 }).notNull(),
	latencyMs: int("latency_ms", { unsigned: true }),
	createdAt: datetime("created_at", { mode: 'string', fsp: 6 }).default(sql`(CURRENT_TIMESTAMP(6))`).notNull(),
},
(table) => [
	index("idx_queries_county").on(table.countyId),
	index("idx_queries_created").on(table.createdAt, table.userId),
	primaryKey({ columns: [table.id], name: "queries_id"}),
]);

export const queryResults = mysqlTable("query_results", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	queryId: bigint("query_id", { mode: "number", unsigned: true }).notNull(),
	chunkId: bigint("chunk_id", { mode: "number", unsigned: true }),
	rankPosition: tinyint("rank_position", { unsigned: true }).default(0).notNull(),
	score: float().notNull(),
},
(table) => [
	index("idx_query_results_query").on(table.queryId, table.rankPosition),
	primaryKey({ columns: [table.id], name: "query_results_id"}),
]);

export const sharedLinks = mysqlTable("shared_links", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	createdBy: bigint("created_by", { mode: "number", unsigned: true }).notNull(),
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	slug: varchar({ length: 40 }).notNull(),
	expiresAt: datetime("expires_at", { mode: 'string'}),
},
(table) => [
	primaryKey({ columns: [table.id], name: "shared_links_id"}),
]);

export const stations = mysqlTable("stations", {
	id: int({ unsigned: true }).autoincrement().notNull(),
	agencyId: int("agency_id", { unsigned: true }).notNull(),
	name: varchar({ length: 80 }).notNull(),
	latitude: decimal({ precision: 9, scale: 6 }),
	longitude: decimal({ precision: 9, scale: 6 }),
},
(table) => [
	index("idx_stations_agency").on(table.agencyId, table.name),
	primaryKey({ columns: [table.id], name: "stations_id"}),
]);

export const subscriptions = mysqlTable("subscriptions", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	planId: int("plan_id", { unsigned: true }).notNull(),
	status: mysqlEnum(['trial','active','cancelled']).default('trial').notNull(),
	renewals: int({ unsigned: true }).default(0).notNull(),
	// you can use { mode: 'date' }, if you want to have Date as type for this column
	startsOn: date("starts_on", { mode: 'string' }).notNull(),
},
(table) => [
	index("idx_subscriptions_user").on(table.userId),
	primaryKey({ columns: [table.id], name: "subscriptions_id"}),
]);

export const trainingCompletions = mysqlTable("training_completions", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	protocolId: bigint("protocol_id", { mode: "number", unsigned: true }).notNull(),
	score: decimal({ precision: 5, scale: 2 }).default('0.00').notNull(),
	// you can use { mode: 'date' }, if you want to have Date as type for this column
	completedOn: date("completed_on", { mode: 'string' }).notNull(),
},
(table) => [
	index("idx_training_user").on(table.userId, table.completedOn),
	index("idx_training_protocol").on(table.protocolId),
	primaryKey({ columns: [table.id], name: "training_completions_id"}),
]);

export const userAuthProviders = mysqlTable("user_auth_providers", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	provider: varchar({ length: 30 }).notNull(),
	subject: varchar({ length: 100 }).notNull(),
	linkedAt: timestamp("linked_at", { mode: 'string' }).defaultNow().notNull(),
},
(table) => [
	primaryKey({ columns: [table.id], name: "user_auth_providers_id"}),
]);

export const userPreferences = mysqlTable("user_preferences", {
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	homeCountyId: int("home_county_id", { unsigned: true }),
	theme: mysqlEnum(['light','dark','system']).default('system').notNull(),
	// Warning: Can't parse set('email','push','sms') from database
	// set('email','push','sms')Type: set('email','push','sms')("alerts").notNull(),
	preferences: json(),
	updatedAt: timestamp("updated_at", { mode: 'string' }).defaultNow().onUpdateNow().notNull(),
},
(table) => [
	primaryKey({ columns: [table.userId], name: "user_preferences_user_id"}),
]);

export const userSessions = mysqlTable("user_sessions", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	userId: bigint("user_id", { mode: "number", unsigned: true }).notNull(),
	tokenHash: binary("token_hash", { length: 32 }).notNull(),
	ipAddress: varbinary("ip_address", { length: 16 }),
	lastActiveAt: datetime("last_active_at", { mode: 'string', fsp: 3 }),
	expiresAt: datetime("expires_at", { mode: 'string'}).notNull(),
},
(table) => [
	index("idx_user_sessions_user").on(table.userId),
	primaryKey({ columns: [table.id], name: "user_sessions_id"}),
]);

export const users = mysqlTable("users", {
	id: bigint({ mode: "number", unsigned: true }).autoincrement().notNull(),
	email: varchar({ length: 190 }).notNull(),
	emailDomain: varchar("email_domain", { length: 120 }).generatedAlwaysAs(sql`substring_index(\`email\`,_utf8mb4\'@\',-(1))`, { mode: "virtual" }),
	displayName: varchar("display_name", { length: 120 }).default('').notNull(),
	role: mysqlEnum(['paramedic','emt','physician','nurse','administrator']).default('paramedic').notNull(),
	status: mysqlEnum(['active','invited','disabled']).default('active').notNull(),
	settings: json(),
	lastSeenAt: datetime("last_seen_at", { mode: 'string', fsp: 3 }),
	createdAt: timestamp("created_at", { mode: 'string' }).defaultNow().notNull(),
	updatedAt: timestamp("updated_at", { mode: 'string' }).defaultNow().onUpdateNow().notNull(),
},
(table) => [
	index("idx_users_email").on(table.email),
	primaryKey({ columns: [table.id], name: "users_id"}),
]);
