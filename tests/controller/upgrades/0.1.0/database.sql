SET SESSION foreign_key_checks = 0;
DROP SCHEMA IF EXISTS `holdfast_upgrade_journal`;
CREATE SCHEMA `holdfast_upgrade_journal`;
USE `holdfast_upgrade_journal`;
CREATE TABLE `journal_format` (
  `format` int unsigned NOT NULL,
  PRIMARY KEY (`format`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `journal_format` (`format`) VALUES ('1');
CREATE TABLE `migrations` (
  `id` char(36) COLLATE utf8mb4_bin NOT NULL,
  `target_schema` varchar(64) COLLATE utf8mb4_bin NOT NULL,
  `content_digest` varchar(80) COLLATE utf8mb4_bin NOT NULL,
  `plan_digest` varchar(80) COLLATE utf8mb4_bin NOT NULL,
  `owner` varchar(512) COLLATE utf8mb4_bin NOT NULL,
  `state` varchar(20) COLLATE utf8mb4_bin NOT NULL,
  `epoch` bigint unsigned NOT NULL,
  `server_uuid` varchar(300) COLLATE utf8mb4_bin NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `by_target` (`target_schema`,`state`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `migrations` (`id`, `target_schema`, `content_digest`, `plan_digest`, `owner`, `state`, `epoch`, `server_uuid`, `started_at`, `finished_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', 'holdfast_upgrade', 'sha256:80d24839b65c8076c62a509381aa7c116764b9f9749ded1d86d84484886318c7', 'sha256:cae745080b43aea1fcc3a214658b9fe19ae5f8dcc0f3f4485d12b2c7467f865d', 'holdfast-upgrade/killed', 'Running', '1', 'SERVER-UUID', '2026-11-29 01:44:44.808961', NULL);
CREATE TABLE `operations` (
  `migration` char(36) COLLATE utf8mb4_bin NOT NULL,
  `operation` varchar(191) COLLATE utf8mb4_bin NOT NULL,
  `sequence` bigint unsigned NOT NULL,
  `state` varchar(20) COLLATE utf8mb4_bin NOT NULL,
  `definition` longtext COLLATE utf8mb4_bin NOT NULL,
  `forward_statement` longtext COLLATE utf8mb4_bin,
  `inverse_statement` longtext COLLATE utf8mb4_bin,
  `before_image` longtext COLLATE utf8mb4_bin,
  `report` longtext COLLATE utf8mb4_bin,
  `intended_at` datetime(6) NOT NULL,
  `completed_at` datetime(6) DEFAULT NULL,
  `undone_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`migration`,`operation`),
  UNIQUE KEY `by_sequence` (`migration`,`sequence`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '001-remove-orphans-fk_bookmarks_user', '10', 'Done', '{"id":"001-remove-orphans-fk_bookmarks_user","section":"CleanUp","action":{"RemoveOrphans":{"key":{"name":"fk_bookmarks_user","child":{"schema":"holdfast_upgrade","table":"bookmarks"},"columns":["user_id"],"parent":{"schema":"holdfast_upgrade","table":"users"},"parent_columns":["id"],"on_delete":"Cascade","on_update":"NoAction"},"policy":"Delete"}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":51,"bytes":16384,"milliseconds":50},"path":"spec.stages[0].foreignKeys[0]"}', NULL, NULL, 'CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"001-remove-orphans-fk_bookmarks_user","milliseconds":669,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":5,"values_changed":0,"rounds":2,"total":null,"mapped":null,"unmapped":null,"ambiguous":null},"found_done":false}', '2026-11-29 01:44:45.398692', '2026-11-29 01:44:45.930256', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '002-remove-orphans-fk_notes_user', '20', 'Done', '{"id":"002-remove-orphans-fk_notes_user","section":"CleanUp","action":{"RemoveOrphans":{"key":{"name":"fk_notes_user","child":{"schema":"holdfast_upgrade","table":"notes"},"columns":["user_id"],"parent":{"schema":"holdfast_upgrade","table":"users"},"parent_columns":["id"],"on_delete":"Cascade","on_update":"NoAction"},"policy":"Delete"}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":50,"bytes":16384,"milliseconds":50},"path":"spec.stages[1].foreignKeys[0]"}', NULL, NULL, 'CREATE TABLE `notes` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"002-remove-orphans-fk_notes_user","milliseconds":446,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":5,"values_changed":0,"rounds":2,"total":null,"mapped":null,"unmapped":null,"ambiguous":null},"found_done":false}', '2026-11-29 01:44:45.968501', '2026-11-29 01:44:46.383264', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '003-remove-duplicates-uq_bookmarks', '30', 'Done', '{"id":"003-remove-duplicates-uq_bookmarks","section":"CleanUp","action":{"RemoveDuplicates":{"table":{"schema":"holdfast_upgrade","table":"bookmarks"},"columns":["user_id","page"],"policy":"KeepNewest","order_by":"id","dependents":[]}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":51,"bytes":16384,"milliseconds":50},"path":"spec.uniqueConstraints[0]"}', NULL, NULL, 'CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"003-remove-duplicates-uq_bookmarks","milliseconds":381,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":1,"values_changed":0,"rounds":2,"total":null,"mapped":null,"unmapped":null,"ambiguous":null},"found_done":false}', '2026-11-29 01:44:46.464958', '2026-11-29 01:44:46.774056', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '004-add-column-notes-user_name', '40', 'Done', '{"id":"004-add-column-notes-user_name","section":"FixTypes","action":{"AddColumn":{"table":{"schema":"holdfast_upgrade","table":"notes"},"column":"user_name"}},"forward":"ALTER TABLE `holdfast_upgrade`.`notes` ADD COLUMN `user_name` varchar(40) NULL, ALGORITHM=INSTANT","inverse":"ALTER TABLE `holdfast_upgrade`.`notes` DROP COLUMN `user_name`, ALGORITHM=INSTANT","lock":"Metadata","estimate":{"rows":0,"bytes":0,"milliseconds":50},"path":"spec.typeFixes[0]"}', 'ALTER TABLE `holdfast_upgrade`.`notes` ADD COLUMN `user_name` varchar(40) NULL, ALGORITHM=INSTANT', 'ALTER TABLE `holdfast_upgrade`.`notes` DROP COLUMN `user_name`, ALGORITHM=INSTANT', 'CREATE TABLE `notes` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"004-add-column-notes-user_name","milliseconds":509,"tries":1,"longest_try_milliseconds":15,"rows":null,"made":"`user_name` varchar(40) DEFAULT NULL","found_done":false}', '2026-11-29 01:44:48.429708', '2026-11-29 01:44:48.767259', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '005-backfill-notes-user_name', '50', 'Done', '{"id":"005-backfill-notes-user_name","section":"FixTypes","action":{"Backfill":{"table":{"schema":"holdfast_upgrade","table":"notes"},"column":"user_name","lookup_table":{"schema":"holdfast_upgrade","table":"users"},"matches":[["user_id","id"]],"take":"name","max_unmapped":1000}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":50,"bytes":16384,"milliseconds":52},"path":"spec.typeFixes[0].backfill"}', NULL, NULL, 'CREATE TABLE `notes` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  `user_name` varchar(40) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"005-backfill-notes-user_name","milliseconds":812,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":0,"values_changed":45,"rounds":2,"total":45,"mapped":45,"unmapped":0,"ambiguous":0},"found_done":false}', '2026-11-29 01:44:48.945699', '2026-11-29 01:44:49.613537', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '006-remove-duplicates-uq_bookmarks', '60', 'Done', '{"id":"006-remove-duplicates-uq_bookmarks","section":"AddUniques","action":{"RemoveDuplicates":{"table":{"schema":"holdfast_upgrade","table":"bookmarks"},"columns":["user_id","page"],"policy":"KeepNewest","order_by":"id","dependents":[]}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":51,"bytes":16384,"milliseconds":50},"path":"spec.uniqueConstraints[0]"}', NULL, NULL, 'CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"006-remove-duplicates-uq_bookmarks","milliseconds":257,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":0,"values_changed":0,"rounds":1,"total":null,"mapped":null,"unmapped":null,"ambiguous":null},"found_done":false}', '2026-11-29 01:44:50.601870', '2026-11-29 01:44:50.762566', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '007-add-unique-uq_bookmarks', '70', 'Done', '{"id":"007-add-unique-uq_bookmarks","section":"AddUniques","action":{"AddUnique":{"table":{"schema":"holdfast_upgrade","table":"bookmarks"},"index":"uq_bookmarks","columns":["user_id","page"]}},"forward":"ALTER TABLE `holdfast_upgrade`.`bookmarks` ADD UNIQUE INDEX `uq_bookmarks` (`user_id`, `page`), ALGORITHM=INPLACE, LOCK=NONE","inverse":"ALTER TABLE `holdfast_upgrade`.`bookmarks` DROP INDEX `uq_bookmarks`, ALGORITHM=INPLACE, LOCK=NONE","lock":"OnlineBuild","estimate":{"rows":51,"bytes":16384,"milliseconds":50},"path":"spec.uniqueConstraints[0]"}', 'ALTER TABLE `holdfast_upgrade`.`bookmarks` ADD UNIQUE INDEX `uq_bookmarks` (`user_id`, `page`), ALGORITHM=INPLACE, LOCK=NONE', 'ALTER TABLE `holdfast_upgrade`.`bookmarks` DROP INDEX `uq_bookmarks`, ALGORITHM=INPLACE, LOCK=NONE', 'CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"007-add-unique-uq_bookmarks","milliseconds":344,"tries":1,"longest_try_milliseconds":0,"rows":null,"found_done":false}', '2026-11-29 01:44:50.869497', '2026-11-29 01:44:51.111754', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '008-remove-orphans-fk_bookmarks_user', '80', 'Done', '{"id":"008-remove-orphans-fk_bookmarks_user","section":{"Stage":0},"action":{"RemoveOrphans":{"key":{"name":"fk_bookmarks_user","child":{"schema":"holdfast_upgrade","table":"bookmarks"},"columns":["user_id"],"parent":{"schema":"holdfast_upgrade","table":"users"},"parent_columns":["id"],"on_delete":"Cascade","on_update":"NoAction"},"policy":"Delete"}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":51,"bytes":16384,"milliseconds":50},"path":"spec.stages[0].foreignKeys[0]"}', NULL, NULL, 'CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_bookmarks` (`user_id`,`page`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"008-remove-orphans-fk_bookmarks_user","milliseconds":324,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":0,"values_changed":0,"rounds":1,"total":null,"mapped":null,"unmapped":null,"ambiguous":null},"found_done":false}', '2026-11-29 01:44:51.807222', '2026-11-29 01:44:52.065400', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '009-add-key-fk_bookmarks_user', '90', 'Done', '{"id":"009-add-key-fk_bookmarks_user","section":{"Stage":0},"action":{"AddForeignKey":{"key":{"name":"fk_bookmarks_user","child":{"schema":"holdfast_upgrade","table":"bookmarks"},"columns":["user_id"],"parent":{"schema":"holdfast_upgrade","table":"users"},"parent_columns":["id"],"on_delete":"Cascade","on_update":"NoAction"},"policy":"Delete"}},"forward":"ALTER TABLE `holdfast_upgrade`.`bookmarks` ADD CONSTRAINT `fk_bookmarks_user` FOREIGN KEY (`user_id`) REFERENCES `holdfast_upgrade`.`users` (`id`) ON DELETE CASCADE ON UPDATE NO ACTION, ALGORITHM=INPLACE, LOCK=NONE","inverse":"ALTER TABLE `holdfast_upgrade`.`bookmarks` DROP FOREIGN KEY `fk_bookmarks_user`, ALGORITHM=INPLACE, LOCK=NONE","lock":"Metadata","estimate":{"rows":0,"bytes":0,"milliseconds":50},"path":"spec.stages[0].foreignKeys[0]"}', 'ALTER TABLE `holdfast_upgrade`.`bookmarks` ADD CONSTRAINT `fk_bookmarks_user` FOREIGN KEY (`user_id`) REFERENCES `holdfast_upgrade`.`users` (`id`) ON DELETE CASCADE ON UPDATE NO ACTION, ALGORITHM=INPLACE, LOCK=NONE', 'ALTER TABLE `holdfast_upgrade`.`bookmarks` DROP FOREIGN KEY `fk_bookmarks_user`, ALGORITHM=INPLACE, LOCK=NONE', 'CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_bookmarks` (`user_id`,`page`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"009-add-key-fk_bookmarks_user","milliseconds":279,"tries":1,"longest_try_milliseconds":21,"rows":null,"found_done":false}', '2026-11-29 01:44:52.131549', '2026-11-29 01:44:52.439528', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '010-remove-orphans-fk_notes_user', '100', 'Done', '{"id":"010-remove-orphans-fk_notes_user","section":{"Stage":1},"action":{"RemoveOrphans":{"key":{"name":"fk_notes_user","child":{"schema":"holdfast_upgrade","table":"notes"},"columns":["user_id"],"parent":{"schema":"holdfast_upgrade","table":"users"},"parent_columns":["id"],"on_delete":"Cascade","on_update":"NoAction"},"policy":"Delete"}},"forward":null,"inverse":null,"lock":"Batched","estimate":{"rows":50,"bytes":16384,"milliseconds":50},"path":"spec.stages[1].foreignKeys[0]"}', NULL, NULL, 'CREATE TABLE `notes` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  `user_name` varchar(40) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', '{"operation":"010-remove-orphans-fk_notes_user","milliseconds":271,"tries":0,"longest_try_milliseconds":0,"rows":{"rows_removed":0,"values_changed":0,"rounds":1,"total":null,"mapped":null,"unmapped":null,"ambiguous":null},"found_done":false}', '2026-11-29 01:44:54.028257', '2026-11-29 01:44:54.231459', NULL);
INSERT INTO `operations` (`migration`, `operation`, `sequence`, `state`, `definition`, `forward_statement`, `inverse_statement`, `before_image`, `report`, `intended_at`, `completed_at`, `undone_at`) VALUES ('73f1e5f9-eb96-11f1-9e4e-02fc00000001', '011-add-index-fk_notes_user_idx', '110', 'Intended', '{"id":"011-add-index-fk_notes_user_idx","section":{"Stage":1},"action":{"AddIndex":{"table":{"schema":"holdfast_upgrade","table":"notes"},"index":"fk_notes_user_idx","columns":["user_id"]}},"forward":"ALTER TABLE `holdfast_upgrade`.`notes` ADD INDEX `fk_notes_user_idx` (`user_id`), ALGORITHM=INPLACE, LOCK=NONE","inverse":"ALTER TABLE `holdfast_upgrade`.`notes` DROP INDEX `fk_notes_user_idx`, ALGORITHM=INPLACE, LOCK=NONE","lock":"OnlineBuild","estimate":{"rows":50,"bytes":16384,"milliseconds":50},"path":"spec.stages[1].foreignKeys[0]"}', 'ALTER TABLE `holdfast_upgrade`.`notes` ADD INDEX `fk_notes_user_idx` (`user_id`), ALGORITHM=INPLACE, LOCK=NONE', 'ALTER TABLE `holdfast_upgrade`.`notes` DROP INDEX `fk_notes_user_idx`, ALGORITHM=INPLACE, LOCK=NONE', 'CREATE TABLE `notes` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  `user_name` varchar(40) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci', NULL, '2026-11-29 01:44:54.366883', NULL, NULL);
CREATE TABLE `q_8bcf2bf58b701cbe_notes` (
  `holdfast_id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `holdfast_migration` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_operation` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `holdfast_batch` bigint unsigned NOT NULL,
  `holdfast_kind` varchar(10) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_depth` int unsigned NOT NULL,
  `holdfast_of` bigint unsigned DEFAULT NULL,
  `holdfast_reason` varchar(20) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_subject` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `holdfast_columns` text CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci,
  `holdfast_taken_at` datetime(6) NOT NULL,
  `holdfast_restored_at` datetime(6) DEFAULT NULL,
  `id` int DEFAULT NULL,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT NULL,
  `user_name` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT NULL,
  PRIMARY KEY (`holdfast_id`),
  KEY `holdfast_by_batch` (`holdfast_batch`,`holdfast_kind`,`holdfast_depth`),
  KEY `holdfast_by_operation` (`holdfast_migration`,`holdfast_operation`,`holdfast_batch`),
  KEY `holdfast_by_of` (`holdfast_of`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci ROW_FORMAT=DYNAMIC;
CREATE TABLE `q_943eb47696bb7f17_bookmarks` (
  `holdfast_id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `holdfast_migration` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_operation` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `holdfast_batch` bigint unsigned NOT NULL,
  `holdfast_kind` varchar(10) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_depth` int unsigned NOT NULL,
  `holdfast_of` bigint unsigned DEFAULT NULL,
  `holdfast_reason` varchar(20) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_subject` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `holdfast_columns` text CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci,
  `holdfast_taken_at` datetime(6) NOT NULL,
  `holdfast_restored_at` datetime(6) DEFAULT NULL,
  `id` int DEFAULT NULL,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT NULL,
  PRIMARY KEY (`holdfast_id`),
  KEY `holdfast_by_batch` (`holdfast_batch`,`holdfast_kind`,`holdfast_depth`),
  KEY `holdfast_by_operation` (`holdfast_migration`,`holdfast_operation`,`holdfast_batch`),
  KEY `holdfast_by_of` (`holdfast_of`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci ROW_FORMAT=DYNAMIC;
INSERT INTO `q_943eb47696bb7f17_bookmarks` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('1', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '001-remove-orphans-fk_bookmarks_user', '102188075609751552', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:45.875531', NULL, '10', '10', 'page 10');
INSERT INTO `q_943eb47696bb7f17_bookmarks` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('2', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '001-remove-orphans-fk_bookmarks_user', '102188075609751552', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:45.875531', NULL, '20', '20', 'page 20');
INSERT INTO `q_943eb47696bb7f17_bookmarks` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('3', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '001-remove-orphans-fk_bookmarks_user', '102188075609751552', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:45.875531', NULL, '30', '30', 'page 30');
INSERT INTO `q_943eb47696bb7f17_bookmarks` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('4', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '001-remove-orphans-fk_bookmarks_user', '102188075609751552', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:45.875531', NULL, '40', '40', 'page 40');
INSERT INTO `q_943eb47696bb7f17_bookmarks` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('5', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '001-remove-orphans-fk_bookmarks_user', '102188075609751552', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:45.875531', NULL, '50', '50', 'page 50');
INSERT INTO `q_943eb47696bb7f17_bookmarks` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('8', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '003-remove-duplicates-uq_bookmarks', '102188075609751554', 'Row', '0', NULL, 'Duplicate', NULL, NULL, '2026-11-29 01:44:46.667675', NULL, '1', '1', 'page 1');
CREATE TABLE `q_f3587bd2f713f71e_notes` (
  `holdfast_id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `holdfast_migration` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_operation` varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `holdfast_batch` bigint unsigned NOT NULL,
  `holdfast_kind` varchar(10) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_depth` int unsigned NOT NULL,
  `holdfast_of` bigint unsigned DEFAULT NULL,
  `holdfast_reason` varchar(20) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `holdfast_subject` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `holdfast_columns` text CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci,
  `holdfast_taken_at` datetime(6) NOT NULL,
  `holdfast_restored_at` datetime(6) DEFAULT NULL,
  `id` int DEFAULT NULL,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT NULL,
  PRIMARY KEY (`holdfast_id`),
  KEY `holdfast_by_batch` (`holdfast_batch`,`holdfast_kind`,`holdfast_depth`),
  KEY `holdfast_by_operation` (`holdfast_migration`,`holdfast_operation`,`holdfast_batch`),
  KEY `holdfast_by_of` (`holdfast_of`)
) ENGINE=InnoDB AUTO_INCREMENT=8 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci ROW_FORMAT=DYNAMIC;
INSERT INTO `q_f3587bd2f713f71e_notes` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('1', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '002-remove-orphans-fk_notes_user', '102188075609751553', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:46.336058', NULL, '10', '10', 'page 10');
INSERT INTO `q_f3587bd2f713f71e_notes` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('2', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '002-remove-orphans-fk_notes_user', '102188075609751553', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:46.336058', NULL, '20', '20', 'page 20');
INSERT INTO `q_f3587bd2f713f71e_notes` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('3', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '002-remove-orphans-fk_notes_user', '102188075609751553', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:46.336058', NULL, '30', '30', 'page 30');
INSERT INTO `q_f3587bd2f713f71e_notes` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('4', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '002-remove-orphans-fk_notes_user', '102188075609751553', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:46.336058', NULL, '40', '40', 'page 40');
INSERT INTO `q_f3587bd2f713f71e_notes` (`holdfast_id`, `holdfast_migration`, `holdfast_operation`, `holdfast_batch`, `holdfast_kind`, `holdfast_depth`, `holdfast_of`, `holdfast_reason`, `holdfast_subject`, `holdfast_columns`, `holdfast_taken_at`, `holdfast_restored_at`, `id`, `user_id`, `page`) VALUES ('5', '73f1e5f9-eb96-11f1-9e4e-02fc00000001', '002-remove-orphans-fk_notes_user', '102188075609751553', 'Row', '0', NULL, 'Orphan', NULL, NULL, '2026-11-29 01:44:46.336058', NULL, '50', '50', 'page 50');
CREATE TABLE `quarantine_tables` (
  `name` varchar(64) COLLATE utf8mb4_bin NOT NULL,
  `source_schema` varchar(64) COLLATE utf8mb4_bin NOT NULL,
  `source_table` varchar(64) COLLATE utf8mb4_bin NOT NULL,
  `generated_columns` longtext COLLATE utf8mb4_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO `quarantine_tables` (`name`, `source_schema`, `source_table`, `generated_columns`, `created_at`) VALUES ('q_8bcf2bf58b701cbe_notes', 'holdfast_upgrade', 'notes', '[]', '2026-11-29 01:44:49.302121');
INSERT INTO `quarantine_tables` (`name`, `source_schema`, `source_table`, `generated_columns`, `created_at`) VALUES ('q_943eb47696bb7f17_bookmarks', 'holdfast_upgrade', 'bookmarks', '[]', '2026-11-29 01:44:45.731286');
INSERT INTO `quarantine_tables` (`name`, `source_schema`, `source_table`, `generated_columns`, `created_at`) VALUES ('q_f3587bd2f713f71e_notes', 'holdfast_upgrade', 'notes', '[]', '2026-11-29 01:44:46.257841');
DROP SCHEMA IF EXISTS `holdfast_upgrade`;
CREATE SCHEMA `holdfast_upgrade`;
USE `holdfast_upgrade`;
CREATE TABLE `bookmarks` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_bookmarks` (`user_id`,`page`),
  CONSTRAINT `fk_bookmarks_user` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=52 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('11', '11', 'page 11');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('12', '12', 'page 12');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('13', '13', 'page 13');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('14', '14', 'page 14');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('15', '15', 'page 15');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('16', '16', 'page 16');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('17', '17', 'page 17');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('18', '18', 'page 18');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('19', '19', 'page 19');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('2', '2', 'page 2');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('21', '21', 'page 21');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('22', '22', 'page 22');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('23', '23', 'page 23');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('24', '24', 'page 24');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('25', '25', 'page 25');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('26', '26', 'page 26');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('27', '27', 'page 27');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('28', '28', 'page 28');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('29', '29', 'page 29');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('3', '3', 'page 3');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('31', '31', 'page 31');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('32', '32', 'page 32');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('33', '33', 'page 33');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('34', '34', 'page 34');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('35', '35', 'page 35');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('36', '36', 'page 36');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('37', '37', 'page 37');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('38', '38', 'page 38');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('39', '39', 'page 39');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('4', '4', 'page 4');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('41', '41', 'page 41');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('42', '42', 'page 42');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('43', '43', 'page 43');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('44', '44', 'page 44');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('45', '45', 'page 45');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('46', '46', 'page 46');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('47', '47', 'page 47');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('48', '48', 'page 48');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('49', '49', 'page 49');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('5', '5', 'page 5');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('51', '1', 'page 1');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('6', '6', 'page 6');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('7', '7', 'page 7');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('8', '8', 'page 8');
INSERT INTO `bookmarks` (`id`, `user_id`, `page`) VALUES ('9', '9', 'page 9');
CREATE TABLE `notes` (
  `id` int NOT NULL AUTO_INCREMENT,
  `user_id` int DEFAULT NULL,
  `page` varchar(80) NOT NULL,
  `user_name` varchar(40) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=51 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('1', '1', 'page 1', 'user 1');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('11', '11', 'page 11', 'user 11');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('12', '12', 'page 12', 'user 12');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('13', '13', 'page 13', 'user 13');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('14', '14', 'page 14', 'user 14');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('15', '15', 'page 15', 'user 15');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('16', '16', 'page 16', 'user 16');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('17', '17', 'page 17', 'user 17');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('18', '18', 'page 18', 'user 18');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('19', '19', 'page 19', 'user 19');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('2', '2', 'page 2', 'user 2');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('21', '21', 'page 21', 'user 21');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('22', '22', 'page 22', 'user 22');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('23', '23', 'page 23', 'user 23');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('24', '24', 'page 24', 'user 24');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('25', '25', 'page 25', 'user 25');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('26', '26', 'page 26', 'user 26');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('27', '27', 'page 27', 'user 27');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('28', '28', 'page 28', 'user 28');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('29', '29', 'page 29', 'user 29');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('3', '3', 'page 3', 'user 3');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('31', '31', 'page 31', 'user 31');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('32', '32', 'page 32', 'user 32');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('33', '33', 'page 33', 'user 33');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('34', '34', 'page 34', 'user 34');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('35', '35', 'page 35', 'user 35');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('36', '36', 'page 36', 'user 36');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('37', '37', 'page 37', 'user 37');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('38', '38', 'page 38', 'user 38');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('39', '39', 'page 39', 'user 39');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('4', '4', 'page 4', 'user 4');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('41', '41', 'page 41', 'user 41');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('42', '42', 'page 42', 'user 42');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('43', '43', 'page 43', 'user 43');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('44', '44', 'page 44', 'user 44');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('45', '45', 'page 45', 'user 45');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('46', '46', 'page 46', 'user 46');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('47', '47', 'page 47', 'user 47');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('48', '48', 'page 48', 'user 48');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('49', '49', 'page 49', 'user 49');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('5', '5', 'page 5', 'user 5');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('6', '6', 'page 6', 'user 6');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('7', '7', 'page 7', 'user 7');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('8', '8', 'page 8', 'user 8');
INSERT INTO `notes` (`id`, `user_id`, `page`, `user_name`) VALUES ('9', '9', 'page 9', 'user 9');
CREATE TABLE `users` (
  `id` int NOT NULL,
  `name` varchar(40) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
INSERT INTO `users` (`id`, `name`) VALUES ('1', 'user 1');
INSERT INTO `users` (`id`, `name`) VALUES ('11', 'user 11');
INSERT INTO `users` (`id`, `name`) VALUES ('12', 'user 12');
INSERT INTO `users` (`id`, `name`) VALUES ('13', 'user 13');
INSERT INTO `users` (`id`, `name`) VALUES ('14', 'user 14');
INSERT INTO `users` (`id`, `name`) VALUES ('15', 'user 15');
INSERT INTO `users` (`id`, `name`) VALUES ('16', 'user 16');
INSERT INTO `users` (`id`, `name`) VALUES ('17', 'user 17');
INSERT INTO `users` (`id`, `name`) VALUES ('18', 'user 18');
INSERT INTO `users` (`id`, `name`) VALUES ('19', 'user 19');
INSERT INTO `users` (`id`, `name`) VALUES ('2', 'user 2');
INSERT INTO `users` (`id`, `name`) VALUES ('21', 'user 21');
INSERT INTO `users` (`id`, `name`) VALUES ('22', 'user 22');
INSERT INTO `users` (`id`, `name`) VALUES ('23', 'user 23');
INSERT INTO `users` (`id`, `name`) VALUES ('24', 'user 24');
INSERT INTO `users` (`id`, `name`) VALUES ('25', 'user 25');
INSERT INTO `users` (`id`, `name`) VALUES ('26', 'user 26');
INSERT INTO `users` (`id`, `name`) VALUES ('27', 'user 27');
INSERT INTO `users` (`id`, `name`) VALUES ('28', 'user 28');
INSERT INTO `users` (`id`, `name`) VALUES ('29', 'user 29');
INSERT INTO `users` (`id`, `name`) VALUES ('3', 'user 3');
INSERT INTO `users` (`id`, `name`) VALUES ('31', 'user 31');
INSERT INTO `users` (`id`, `name`) VALUES ('32', 'user 32');
INSERT INTO `users` (`id`, `name`) VALUES ('33', 'user 33');
INSERT INTO `users` (`id`, `name`) VALUES ('34', 'user 34');
INSERT INTO `users` (`id`, `name`) VALUES ('35', 'user 35');
INSERT INTO `users` (`id`, `name`) VALUES ('36', 'user 36');
INSERT INTO `users` (`id`, `name`) VALUES ('37', 'user 37');
INSERT INTO `users` (`id`, `name`) VALUES ('38', 'user 38');
INSERT INTO `users` (`id`, `name`) VALUES ('39', 'user 39');
INSERT INTO `users` (`id`, `name`) VALUES ('4', 'user 4');
INSERT INTO `users` (`id`, `name`) VALUES ('41', 'user 41');
INSERT INTO `users` (`id`, `name`) VALUES ('42', 'user 42');
INSERT INTO `users` (`id`, `name`) VALUES ('43', 'user 43');
INSERT INTO `users` (`id`, `name`) VALUES ('44', 'user 44');
INSERT INTO `users` (`id`, `name`) VALUES ('45', 'user 45');
INSERT INTO `users` (`id`, `name`) VALUES ('46', 'user 46');
INSERT INTO `users` (`id`, `name`) VALUES ('47', 'user 47');
INSERT INTO `users` (`id`, `name`) VALUES ('48', 'user 48');
INSERT INTO `users` (`id`, `name`) VALUES ('49', 'user 49');
INSERT INTO `users` (`id`, `name`) VALUES ('5', 'user 5');
INSERT INTO `users` (`id`, `name`) VALUES ('6', 'user 6');
INSERT INTO `users` (`id`, `name`) VALUES ('7', 'user 7');
INSERT INTO `users` (`id`, `name`) VALUES ('8', 'user 8');
INSERT INTO `users` (`id`, `name`) VALUES ('9', 'user 9');
SET SESSION foreign_key_checks = 1;
