package tier

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rows is how many rows a table has at first; those inserted come on top.
const rows = 1000

type postgresClient struct {
	pool  *pgxpool.Pool
	sizes sizes
}

func newPostgresClient(addr string, pool int, s sizes) (*postgresClient, error) {
	cfg, err := pgxpool.ParseConfig(fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", dbName, addr, dbName))
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(pool)
	cfg.MaxConnLifetime = dbConnLifetime
	cfg.MaxConnIdleTime = dbConnLifetime
	// Does not connect yet.
	p, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return &postgresClient{p, s}, nil
}

func (p *postgresClient) prepare(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+dbName+" (k bigint PRIMARY KEY, v bytea NOT NULL)")
	// Of two that create it at once, one is refused in spite of IF NOT EXISTS.
	if pg := (*pgconn.PgError)(nil); err != nil && (!errors.As(err, &pg) || pg.Code != "23505") {
		return err
	}
	_, err = p.pool.Exec(ctx, "INSERT INTO "+dbName+" SELECT k, $1 FROM generate_series(0, $2::bigint) k ON CONFLICT DO NOTHING",
		value(p.sizes.of("query")), rows-1)
	return err
}

func (p *postgresClient) call(ctx context.Context, c call) error {
	switch c.endpoint {
	case "query":
		var v []byte
		return p.pool.QueryRow(ctx, "SELECT v FROM "+dbName+" WHERE k = $1", int64(c.key%rows)).Scan(&v)
	case "insert":
		_, err := p.pool.Exec(ctx, "INSERT INTO "+dbName+" VALUES ($1, $2) ON CONFLICT DO NOTHING",
			rows+int64(c.key>>2), value(p.sizes.of(c.endpoint)))
		return err
	case "update":
		_, err := p.pool.Exec(ctx, "UPDATE "+dbName+" SET v = $2 WHERE k = $1",
			int64(c.key%rows), value(p.sizes.of("query")))
		return err
	}
	return errUnknown("postgresql", c.endpoint)
}

func (p *postgresClient) close() { p.pool.Close() }

type mysqlClient struct {
	db    *sql.DB
	sizes sizes
}

func newMySQLClient(addr string, pool int, s sizes) (*mysqlClient, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.DBName, cfg.Net, cfg.Addr = dbName, dbName, "tcp", addr
	cfg.InterpolateParams = true // one round trip instead of two
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(pool)
	db.SetMaxIdleConns(pool)
	return &mysqlClient{db, s}, nil
}

func (m *mysqlClient) prepare(ctx context.Context) error {
	if _, err := m.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+dbName+" (k BIGINT PRIMARY KEY, v MEDIUMBLOB NOT NULL)"); err != nil {
		return err
	}
	_, err := m.db.ExecContext(ctx, "INSERT IGNORE INTO "+dbName+" SELECT 100 * a.n + 10 * b.n + c.n, ? FROM "+
		digits+" a, "+digits+" b, "+digits+" c", value(m.sizes.of("query")))
	return err
}

// digits is a table with a column n of 0 to 9.
const digits = "(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 " +
	"UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)"

func (m *mysqlClient) call(ctx context.Context, c call) error {
	switch c.endpoint {
	case "query":
		var v []byte
		return m.db.QueryRowContext(ctx, "SELECT v FROM "+dbName+" WHERE k = ?", c.key%rows).Scan(&v)
	case "insert":
		_, err := m.db.ExecContext(ctx, "INSERT IGNORE INTO "+dbName+" VALUES (?, ?)",
			rows+c.key>>2, value(m.sizes.of(c.endpoint)))
		return err
	case "update":
		_, err := m.db.ExecContext(ctx, "UPDATE "+dbName+" SET v = ? WHERE k = ?",
			value(m.sizes.of("query")), c.key%rows)
		return err
	}
	return errUnknown("mariadb", c.endpoint)
}

func (m *mysqlClient) close() { m.db.Close() }
