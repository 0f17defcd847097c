-- The sample application: a library of treatment protocols for emergency medical services.
-- Its relations live in the application's code only: there is not one FOREIGN KEY below, and that is the point.
-- Some child columns have an index that a foreign key can use, some have one that it cannot (wrong column order), some have none;
-- bookmark_folders.owner_id has the wrong type, integration_logs knows its agency by name only.
-- AUTO_INCREMENT starts at 1000000000, so that rows written by the running application are told from generated ones by their id.

CREATE TABLE users (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  email VARCHAR(190) NOT NULL,
  email_domain VARCHAR(120) GENERATED ALWAYS AS (SUBSTRING_INDEX(email, '@', -1)) VIRTUAL,
  display_name VARCHAR(120) NOT NULL DEFAULT '',
  role ENUM('paramedic', 'emt', 'physician', 'nurse', 'administrator') NOT NULL DEFAULT 'paramedic',
  status ENUM('active', 'invited', 'disabled') NOT NULL DEFAULT 'active',
  settings JSON NULL,
  last_seen_at DATETIME(3) NULL DEFAULT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_users_email (email)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE user_auth_providers (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  provider VARCHAR(30) NOT NULL,
  subject VARCHAR(100) NOT NULL,
  linked_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE user_sessions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  token_hash BINARY(32) NOT NULL,
  ip_address VARBINARY(16) NULL DEFAULT NULL,
  last_active_at DATETIME(3) NULL DEFAULT NULL,
  expires_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  KEY idx_user_sessions_user (user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE user_preferences (
  user_id BIGINT UNSIGNED NOT NULL,
  home_county_id INT UNSIGNED NULL DEFAULT NULL,
  theme ENUM('light', 'dark', 'system') NOT NULL DEFAULT 'system',
  alerts SET('email', 'push', 'sms') NOT NULL DEFAULT 'push',
  preferences JSON NULL,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE device_tokens (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  platform ENUM('ios', 'android', 'web') NOT NULL DEFAULT 'ios',
  token VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE api_keys (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  label VARCHAR(80) NOT NULL DEFAULT '',
  key_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  scopes SET('read', 'write', 'export') NOT NULL DEFAULT 'read',
  revoked BIT(1) NOT NULL DEFAULT b'0',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE notifications (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  kind ENUM('protocol_changed', 'review_due', 'billing', 'system') NOT NULL DEFAULT 'system',
  body VARCHAR(255) NOT NULL DEFAULT '',
  read_at DATETIME NULL DEFAULT NULL,
  is_read TINYINT(1) GENERATED ALWAYS AS (read_at IS NOT NULL) VIRTUAL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_notifications_user (user_id, created_at)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE counties (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(80) NOT NULL,
  state_code CHAR(2) NOT NULL DEFAULT 'CA',
  population INT UNSIGNED NULL DEFAULT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE agencies (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  county_id INT UNSIGNED NULL DEFAULT NULL,
  name VARCHAR(120) NOT NULL,
  license_number VARCHAR(20) NULL DEFAULT NULL,
  kind ENUM('fire', 'private', 'hospital', 'air') NOT NULL DEFAULT 'fire',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_agencies_county (county_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE stations (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  agency_id INT UNSIGNED NOT NULL,
  name VARCHAR(80) NOT NULL,
  latitude DECIMAL(9, 6) NULL DEFAULT NULL,
  longitude DECIMAL(9, 6) NULL DEFAULT NULL,
  PRIMARY KEY (id),
  KEY idx_stations_agency (agency_id, name)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE agency_members (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  agency_id INT UNSIGNED NOT NULL,
  user_id BIGINT UNSIGNED NOT NULL,
  member_role ENUM('member', 'supervisor', 'medical_director') NOT NULL DEFAULT 'member',
  joined_on DATE NOT NULL,
  PRIMARY KEY (id),
  KEY idx_agency_members (agency_id, user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE protocol_categories (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(80) NOT NULL,
  sort_order SMALLINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE protocols (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  county_id INT UNSIGNED NOT NULL,
  category_id INT UNSIGNED NULL DEFAULT NULL,
  author_id BIGINT UNSIGNED NULL DEFAULT NULL,
  code VARCHAR(20) NOT NULL,
  title VARCHAR(160) NOT NULL,
  status ENUM('draft', 'published', 'retired') NOT NULL DEFAULT 'draft',
  metadata JSON NULL,
  view_count INT UNSIGNED NOT NULL DEFAULT 0,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_protocols_county_status (county_id, status),
  KEY idx_protocols_category (category_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE protocol_versions (
  protocol_id BIGINT UNSIGNED NOT NULL,
  version SMALLINT UNSIGNED NOT NULL,
  approved_by BIGINT UNSIGNED NULL DEFAULT NULL,
  change_note VARCHAR(255) NOT NULL DEFAULT '',
  effective_on DATE NULL DEFAULT NULL,
  PRIMARY KEY (protocol_id, version)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

-- A chunk belongs to one version of a protocol; version NULL means the latest one.
CREATE TABLE protocol_chunks (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  protocol_id BIGINT UNSIGNED NOT NULL,
  version SMALLINT UNSIGNED NULL DEFAULT NULL,
  position INT UNSIGNED NOT NULL DEFAULT 0,
  content TEXT NOT NULL,
  embedding VARBINARY(64) NULL DEFAULT NULL,
  content_length INT UNSIGNED GENERATED ALWAYS AS (CHAR_LENGTH(content)) STORED,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_protocol_chunks_position (protocol_id, position)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE protocol_reviews (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  protocol_id BIGINT UNSIGNED NOT NULL,
  reviewer_id BIGINT UNSIGNED NOT NULL,
  verdict ENUM('approve', 'revise', 'reject') NOT NULL DEFAULT 'approve',
  remarks TEXT NULL,
  reviewed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY idx_protocol_reviews_protocol (protocol_id),
  KEY idx_protocol_reviews_reviewer (reviewer_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE protocol_comments (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  protocol_id BIGINT UNSIGNED NOT NULL,
  user_id BIGINT UNSIGNED NULL DEFAULT NULL,
  parent_id BIGINT UNSIGNED NULL DEFAULT NULL,
  body VARCHAR(1000) NOT NULL DEFAULT '',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_protocol_comments_protocol (protocol_id, created_at),
  KEY idx_protocol_comments_user (user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

-- owner_id is INT while users.id is BIGINT UNSIGNED: no foreign key fits until the column is widened.
CREATE TABLE bookmark_folders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  owner_id INT NOT NULL,
  name VARCHAR(80) NOT NULL DEFAULT '',
  color CHAR(7) CHARACTER SET ascii NOT NULL DEFAULT '#336699',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE bookmarks (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  protocol_id BIGINT UNSIGNED NOT NULL,
  folder_id BIGINT UNSIGNED NULL DEFAULT NULL,
  note VARCHAR(500) NULL DEFAULT NULL,
  position DECIMAL(10, 4) NOT NULL DEFAULT 0,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_bookmarks_folder (folder_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE shared_links (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_by BIGINT UNSIGNED NOT NULL,
  protocol_id BIGINT UNSIGNED NOT NULL,
  slug VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  expires_at DATETIME NULL DEFAULT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE training_completions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  protocol_id BIGINT UNSIGNED NOT NULL,
  score DECIMAL(5, 2) NOT NULL DEFAULT 0,
  completed_on DATE NOT NULL,
  PRIMARY KEY (id),
  KEY idx_training_user (user_id, completed_on),
  KEY idx_training_protocol (protocol_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE queries (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NULL DEFAULT NULL,
  county_id INT UNSIGNED NULL DEFAULT NULL,
  question VARCHAR(500) NOT NULL,
  latency_ms INT UNSIGNED NULL DEFAULT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (id),
  KEY idx_queries_county (county_id),
  KEY idx_queries_created (created_at, user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE query_results (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  query_id BIGINT UNSIGNED NOT NULL,
  chunk_id BIGINT UNSIGNED NULL DEFAULT NULL,
  rank_position TINYINT UNSIGNED NOT NULL DEFAULT 0,
  score FLOAT NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  KEY idx_query_results_query (query_id, rank_position)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE feedback (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NULL DEFAULT NULL,
  query_id BIGINT UNSIGNED NULL DEFAULT NULL,
  rating TINYINT NULL DEFAULT NULL,
  comment TEXT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  KEY idx_feedback_user (user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE plans (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(60) NOT NULL,
  monthly_price DECIMAL(8, 2) NOT NULL DEFAULT 0,
  PRIMARY KEY (id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE subscriptions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  plan_id INT UNSIGNED NOT NULL,
  status ENUM('trial', 'active', 'cancelled') NOT NULL DEFAULT 'trial',
  renewals INT UNSIGNED NOT NULL DEFAULT 0,
  starts_on DATE NOT NULL,
  PRIMARY KEY (id),
  KEY idx_subscriptions_user (user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE invoices (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  subscription_id BIGINT UNSIGNED NOT NULL,
  user_id BIGINT UNSIGNED NOT NULL,
  amount DECIMAL(10, 2) NOT NULL DEFAULT 0,
  tax DECIMAL(10, 2) NOT NULL DEFAULT 0,
  total DECIMAL(11, 2) GENERATED ALWAYS AS (amount + tax) STORED,
  issued_on DATE NOT NULL,
  PRIMARY KEY (id),
  KEY idx_invoices_subscription (subscription_id),
  KEY idx_invoices_user (user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE conversion_events (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NULL DEFAULT NULL,
  subscription_id BIGINT UNSIGNED NULL DEFAULT NULL,
  event_type ENUM('visit', 'signup', 'trial', 'purchase', 'churn') NOT NULL DEFAULT 'visit',
  payload JSON NULL,
  occurred_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  KEY idx_conversion_events_type (event_type, user_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

-- The integration partners send the agency's name; internal_agency_id is the column that the application lacks.
CREATE TABLE integration_logs (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NULL DEFAULT NULL,
  agency_name VARCHAR(120) NOT NULL,
  partner ENUM('cad', 'epcr', 'hospital', 'dispatch') NOT NULL DEFAULT 'cad',
  status_code SMALLINT NOT NULL DEFAULT 200,
  payload JSON NULL,
  logged_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  KEY idx_integration_logs_logged (logged_at)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;

CREATE TABLE audit_log (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  actor_id BIGINT UNSIGNED NULL DEFAULT NULL,
  action VARCHAR(40) NOT NULL,
  entity VARCHAR(40) NOT NULL,
  entity_id BIGINT UNSIGNED NULL DEFAULT NULL,
  occurred_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  KEY idx_audit_log_actor (actor_id)
) ENGINE = InnoDB AUTO_INCREMENT = 1000000000 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_0900_ai_ci;
