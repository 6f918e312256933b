// A little of github.com/mattn/go-sqlite3 for C: SQLite calls a function of
// Go's for each row, and that calls one of the host's.
package main

// #include <stdint.h>
// typedef int64_t (*map_fn)(int64_t);
// static int64_t apply(map_fn f, int64_t value) { return f(value); }
import "C"

import (
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/mattn/go-sqlite3"
)

func main() {}

// SqlSum adds what f makes of 1 to n, in SQL. -1: SQLite has refused.
//
//export SqlSum
func SqlSum(n int64, f C.map_fn) int64 {
	sum, err := sum(n, func(value int64) int64 { return int64(C.apply(f, C.int64_t(value))) })
	if err != nil {
		fmt.Println(err)
		return -1
	}
	return sum
}

func sum(n int64, mapped func(int64) int64) (int64, error) {
	opened, err := (&sqlite3.SQLiteDriver{}).Open(":memory:")
	if err != nil {
		return 0, err
	}
	connection := opened.(*sqlite3.SQLiteConn)
	defer connection.Close()
	if err := connection.RegisterFunc("mapped", mapped, true); err != nil {
		return 0, err
	}
	rows, err := connection.Query(
		"WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?) SELECT sum(mapped(n)) FROM up",
		[]driver.Value{n})
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	found := make([]driver.Value, 1)
	if err := rows.Next(found); err != nil && err != io.EOF {
		return 0, err
	}
	return found[0].(int64), nil
}
