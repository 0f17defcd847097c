SET NAMES utf8mb4;
ALTER TABLE logs ADD COLUMN agency_id INT NULL;
UPDATE logs l JOIN agencies a ON a.name = l.agency AND a.state = l.state SET l.agency_id = a.id;
ALTER TABLE logs MODIFY user_id BIGINT UNSIGNED NOT NULL;
ALTER TABLE logs
  ADD COLUMN short VARCHAR(10) NULL COMMENT 'of the text' AFTER text;
UPDATE logs SET short = LEFT(text, 3) WHERE short IS NULL;
CREATE INDEX by_short ON logs (short);
