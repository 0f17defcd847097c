"""The schema-update Job and its undo for an application with SQLAlchemy.

    schema_job.py update|restore FOLDER

`update` has sqlacodegen write models of the migrated database, holds the foreign keys of what it wrote against the catalogue, and puts it
in the place of FOLDER/models.py, which is kept. Nothing is replaced where a key differs. `restore` puts back what this migration found.
Both may be run again. The database is reached by what Holdfast offers its Jobs.
"""

import importlib.util
import os
import sys
from collections import Counter
from pathlib import Path

from sqlacodegen.generators import DeclarativeGenerator
from sqlalchemy import URL, MetaData, create_engine, text

KEYS = """
SELECT r.TABLE_NAME, r.CONSTRAINT_NAME, k.COLUMN_NAME,
       IF(k.REFERENCED_TABLE_SCHEMA = DATABASE(), r.REFERENCED_TABLE_NAME, CONCAT(k.REFERENCED_TABLE_SCHEMA, '.', r.REFERENCED_TABLE_NAME)),
       k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE
FROM information_schema.REFERENTIAL_CONSTRAINTS AS r
JOIN information_schema.KEY_COLUMN_USAGE AS k
  ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME AND k.TABLE_NAME = r.TABLE_NAME
WHERE r.CONSTRAINT_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY r.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION
"""


def engine():
    """Never by a URL on a command line: sqlacodegen's own command would show the password in the list of processes."""
    credentials = Path(os.environ.get("DATABASE_CREDENTIALS", "/var/run/holdfast/credentials"))
    secret = {name: (credentials / name).read_text().rstrip("\r\n") for name in ("username", "password")}
    tls = os.environ.get("DATABASE_TLS", "VerifyIdentity")
    if tls not in ("VerifyIdentity", "Disabled"):
        raise ValueError(f"DATABASE_TLS is {tls!r}: VerifyIdentity or Disabled")
    authority = os.environ.get("DATABASE_CA", "/var/run/holdfast/tls/ca.crt")
    address = URL.create(
        "mysql+pymysql",
        host=os.environ["MYSQL_HOST"],
        port=int(os.environ.get("MYSQL_TCP_PORT", "3306")),
        database=os.environ["MYSQL_DATABASE"],
        **secret,
    )
    options = {"connect_timeout": 10}
    if tls == "VerifyIdentity":
        options |= {"ssl_ca": authority, "ssl_verify_cert": True, "ssl_verify_identity": True}
    return create_engine(address, connect_args=options)


def keys_of_catalogue(connection):
    """Table, columns, parent, its columns, and the actions of every key."""
    keys = {}
    for table, name, column, parent, parent_column, on_delete, on_update in connection.execute(text(KEYS)):
        key = keys.setdefault((table, name), (table, [], parent, [], on_delete, on_update))
        key[1].append(column)
        key[3].append(parent_column)
    return sorted(described(*key) for key in keys.values())


def keys_of_models(path):
    """The same of a file with models, which is loaded for it."""
    specification = importlib.util.spec_from_file_location("models", path)
    models = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(models)
    return sorted(
        described(
            table.name,
            [column.name for column in key.columns],
            key.referred_table.fullname,
            [element.column.name for element in key.elements],
            key.ondelete or "NO ACTION",
            key.onupdate or "NO ACTION",
        )
        for table in models.Base.metadata.tables.values()
        for key in table.foreign_key_constraints
    )


def described(table, columns, parent, parent_columns, on_delete, on_update):
    """One key in words."""
    return f"{table} ({', '.join(columns)}) -> {parent} ({', '.join(parent_columns)}) on delete {on_delete} on update {on_update}"


def update(current, kept):
    if not kept.exists():
        put(current.read_bytes() if current.exists() else b"", kept)
    source = engine()
    metadata = MetaData()
    metadata.reflect(source)
    made = current.with_name("models_new.py")
    made.write_text(DeclarativeGenerator(metadata, source, set()).generate())
    with source.connect() as connection:
        catalogue = keys_of_catalogue(connection)
    models = keys_of_models(made)
    if models != catalogue:
        lacking, other = Counter(catalogue) - Counter(models), Counter(models) - Counter(catalogue)
        only = [f"the database has and the models lack: {key}" for key in lacking.elements()]
        only += [f"the models say and the database lacks: {key}" for key in other.elements()]
        made.unlink()
        raise ValueError("\n  ".join(["the new models and the catalogue differ, so those in use stay:", *only]))
    made.replace(current)
    print(f"{len(catalogue)} foreign keys in the catalogue and in {current}, with the same columns, parents and actions")


def restore(current, kept):
    if not kept.exists():
        print("the update had not begun, or its file was put back before: nothing is to be done")
    elif kept.stat().st_size > 0:
        kept.replace(current)
        print(f"{current} is what it was before the update")
    else:
        current.unlink(missing_ok=True)
        kept.unlink()
        print(f"{current} is gone again, as before the update")


def put(content, path):
    """In one step, so that a Job that is killed leaves no half of a file."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def main():
    job, folder = {"update": update, "restore": restore}[sys.argv[1]], Path(sys.argv[2])
    try:
        job(folder / "models.py", folder / f"found-by-{os.environ['HOLDFAST_MIGRATION_UID']}.py")
    except Exception as error:  # noqa: BLE001 - whatever it is, the Job fails and says so in its last line
        sys.exit(f"schema_job {sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
