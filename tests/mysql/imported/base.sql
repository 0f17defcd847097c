-- The application's schema before it holds its relations.
CREATE TABLE users (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, email VARCHAR(90) NOT NULL, name VARCHAR(40) NULL, PRIMARY KEY (id));
CREATE TABLE agencies (id INT NOT NULL AUTO_INCREMENT, name VARCHAR(40) NOT NULL, state CHAR(2) NOT NULL, PRIMARY KEY (id));
CREATE TABLE orders (tenant_id INT NOT NULL, id INT NOT NULL, user_id BIGINT UNSIGNED NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE order_lines (tenant_id INT NOT NULL, order_id INT NOT NULL, line INT NOT NULL, note VARCHAR(20) NULL, PRIMARY KEY (tenant_id, order_id, line));
CREATE TABLE logs (id INT NOT NULL AUTO_INCREMENT, user_id INT NOT NULL, agency VARCHAR(40) NULL, state CHAR(2) NULL, text VARCHAR(60) NULL, PRIMARY KEY (id));
INSERT INTO users (email, name) VALUES ('a@x', 'A'), ('b@x', NULL), ('c@x', 'C');
INSERT INTO agencies (name, state) VALUES ('north', 'WA'), ('south', 'CA'), ('north', 'CA');
INSERT INTO orders VALUES (1, 1, 1), (1, 2, NULL), (2, 1, 3);
INSERT INTO order_lines VALUES (1, 1, 1, 'x'), (1, 1, 2, NULL), (2, 1, 1, 'y');
INSERT INTO logs (user_id, agency, state, text) VALUES (1, 'north', 'CA', 'one'), (2, 'south', 'CA', 'two'), (3, 'north', 'WA', 'three');
