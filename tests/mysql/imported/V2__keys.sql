ALTER TABLE users ADD UNIQUE KEY uq_users_email (email);
CREATE UNIQUE INDEX uq_agencies ON agencies (name, state);
ALTER TABLE logs
  ADD CONSTRAINT fk_logs_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  ADD CONSTRAINT fk_logs_agency FOREIGN KEY (agency_id) REFERENCES agencies (id) ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE orders ADD CONSTRAINT fk_wrong FOREIGN KEY (user_id) REFERENCES users (id);
