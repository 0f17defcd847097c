-- +goose Up
ALTER TABLE orders DROP FOREIGN KEY fk_wrong;
ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE order_lines ADD CONSTRAINT fk_lines FOREIGN KEY (tenant_id, order_id) REFERENCES orders (tenant_id, id) ON DELETE CASCADE;
-- +goose Down
ALTER TABLE order_lines DROP FOREIGN KEY fk_lines;
ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1;
