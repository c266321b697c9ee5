/* SPDX-License-Identifier: MIT */
/*
 * sqlite_connection.c - a connection to the database: how it is set, what is in it, and its prepared statements.
 *
 * synchronous=FULL has each commit wait for the disk; the readers never do, in WAL mode. A second process, which is
 * there for a moment when the service restarts, waits for the lock of the first one: busy_timeout.
 */
#include "sqlite_impl.h"

#include <errno.h>
#include <stdlib.h>

#define BUSY_MS "10000"

static const char setup[] = "PRAGMA busy_timeout=" BUSY_MS ";"
			    "PRAGMA journal_mode=WAL;"
			    "PRAGMA synchronous=FULL;"
			    "PRAGMA mmap_size=268435456;"
			    "PRAGMA cache_size=-8192;"; /* KiB */

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL,"
	" body TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS photos (id INTEGER PRIMARY KEY AUTOINCREMENT, width INTEGER NOT NULL,"
	" height INTEGER NOT NULL, created INTEGER NOT NULL, data BLOB NOT NULL);";

#define ITEM "id, title, body, created, updated"

static const char *const statements[] = {
	[SQL_ITEM_GET] = "SELECT " ITEM " FROM items WHERE id = ?1",
	[SQL_ITEM_LIST] = "SELECT " ITEM " FROM items WHERE id > ?1 ORDER BY id LIMIT ?2",
	[SQL_PHOTO_GET] = "SELECT id, width, height, created, data FROM photos WHERE id = ?1",
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_ITEM_ADD] = "INSERT INTO items (title, body, created, updated) VALUES (?2, ?3, ?4, ?4)"
			 " RETURNING id, created, updated",
	/* Once more with the same texts it changes nothing. */
	[SQL_ITEM_PUT] = "UPDATE items SET title = ?2, body = ?3,"
			 " updated = CASE WHEN title = ?2 AND body = ?3 THEN updated ELSE ?4 END"
			 " WHERE id = ?1 RETURNING id, created, updated",
	[SQL_ITEM_DELETE] = "DELETE FROM items WHERE id = ?1",
	[SQL_PHOTO_ADD] =
		"INSERT INTO photos (width, height, created, data) VALUES (?1, ?2, ?3, ?4) RETURNING id",
	[SQL_PHOTO_DELETE] = "DELETE FROM photos WHERE id = ?1",
};

int sqlite_failed(const struct connection *connection, const char *what)
{
	int code = sqlite3_errcode(connection->db);

	if (code == SQLITE_NOMEM)
		return -ENOMEM;
	return hilo_fail(code == SQLITE_BUSY ? -EAGAIN : -EIO, "SQLite: %s: %s", what,
			 sqlite3_errmsg(connection->db));
}

void sqlite_disconnect(struct connection *connection)
{
	if (!connection)
		return;
	for (int i = 0; i < SQL_STATEMENTS; i++)
		(void)sqlite3_finalize(connection->statement[i]);
	(void)sqlite3_close(connection->db);
	free(connection);
}

static int connection_setup(struct connection *connection, const char *path, bool writes)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writes ? SQLITE_OPEN_CREATE : 0);
	int first = writes ? SQL_READS : 0, end = writes ? SQL_STATEMENTS : SQL_READS;

	if (sqlite3_open_v2(path, &connection->db, flags, NULL) != SQLITE_OK)
		return connection->db ? sqlite_failed(connection, path) : -ENOMEM;
	if (sqlite3_exec(connection->db, setup, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_failed(connection, path);
	if (writes && sqlite3_exec(connection->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_failed(connection, path);
	for (int i = first; i < end; i++)
		if (sqlite3_prepare_v3(connection->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &connection->statement[i], NULL) != SQLITE_OK)
			return sqlite_failed(connection, statements[i]);
	return 0;
}

int sqlite_connect(const char *path, bool writes, struct connection **ret)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int rc = connection ? connection_setup(connection, path, writes) : -ENOMEM;

	if (rc < 0)
		sqlite_disconnect(connection);
	else
		*ret = connection;
	return rc;
}
