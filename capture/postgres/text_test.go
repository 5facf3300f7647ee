package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/content"
	"holdfast/internal/splicetest"
)

// moreTypes are values beyond those of the zoo: the edges of what a printer
// decides, and arrays that need each kind of quoting.
const moreTypes = `
create schema more;
set search_path = more;
set timezone = 'UTC';
create type mood as enum ('sad', '', 'it''s "fine"', E'tab\t and \\');
create domain share as numeric(7, 3);
create domain shares as share;
create domain passage as text;
create domain passages as text[];
create domain feeling as mood;
create table own (m mood, s share, ss shares, l passage, ls passages, f feeling, c character(4), cc character(4)[], v character varying(9), n numeric(9, 2), nn numeric(9, 2)[], t time(3), tt timestamp(0) with time zone[]);
insert into own values ('sad', 1.5, -0.001, E'a\tb', E'{"x\\\\y",NULL,"null",""}', '', 'a', '{a,"b c"}', 'v', 1, '{1,NULL}', '12:00:00.125', '{2001-02-03 04:05:06+00}'),
  ('it''s "fine"', 'NaN', null, '\.', '{}', E'tab\t and \\', '', '{}', '', null, '[-5:-4]={1,2}', '24:00', '{infinity}'), (null, null, null, null, null, null, null, null, null, null, null, null, null);
create table chars as select chr(n)::"char" as c, array[chr(n)::"char", null, ''] as a from generate_series(1, 127) n;
create table every_character as select chr(n) as c, array[chr(n), 'x' || chr(n) || 'y'] as a, convert_to(chr(n), 'UTF8') as b, to_json(chr(n)) as j, to_jsonb(chr(n)) as jb
  from generate_series(1, 300) n;
create table quoting as select v, array[v] as a, array[array[v], array[v]] as aa, v::bytea as b, array[v::bytea, null] as ba, v::varchar as vc, array[v::varchar] as vca, left(v, 60)::name as n, array[left(v, 60)::name] as na, array[to_json(v)] as ja, array[to_jsonb(v)] as jba
  from unnest(array['', ' ', 'null', 'NULL', 'Null', 'nullx', '{', '}', ',', ';', '"', 'a"b', '''', 'é', E'\u00a0', E'\u2003', E'\v', E'\f', '[1:2]={a,b}', 'a b', E'a\nb', E'\r\n', '-', '+1', '[', '=']) v;
create table bounds as select * from (values ('[2:3][-1:0]={{1,2},{3,NULL}}'::integer[]), ('{{{{{{1}}}}}}'), ('[0:0]={7}'), ('{}'), ('[2147483646:2147483646]={1}'), ('[-2147483648:-2147483647]={1,2}'), ('{{1,2,3},{4,5,6}}')) v(a);
create table dates as select d, array[d] as a, d::timestamp as ts, array[d::timestamp] as tsa, d::timestamp at time zone 'UTC' as tz from (
  select date '0001-01-01' + n as d from generate_series(-800000, 800000, 997) n union all
  select v::date from unnest(array['0001-12-31 BC', '0001-01-01', '0004-02-29', '0005-02-29 BC', '9999-12-31', '10000-01-01', '99999-03-01', '1900-02-28', '2000-02-29', '2100-03-01', '4714-11-24 BC', '294276-12-31']) v) d;
create table far_dates as select v::date as d from unnest(array['5874897-12-31', '300000-02-29', 'infinity', '-infinity']) v;
create table instants as select t, t at time zone 'UTC' as n, array[t] as a, t::time as h from (
  select v::timestamptz as t from unnest(array['4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', '1999-12-31 23:59:59.999999+00', '2000-01-01 00:00:00.000001+00', '2000-01-01 00:00:00.1+00', '1970-01-01+00', '0001-01-01 00:00:00+00', '0001-12-31 23:59:59.5+00 BC', '12345-06-07 08:09:10.11+00']) v
  union all select timestamptz '2000-01-01 00:00:00+00' + n * interval '123456789.012345 seconds' from generate_series(-300, 300) n) t;
create table odd_times as select v::time as t from unnest(array['00:00', '24:00', '23:59:59.999999', '12:34:56.5', '00:00:00.000001']) v;
create table numbers as select n, array[n] as a from (
  select v::numeric as n from unnest(array['0', '-0', '0.0', '0.00000', '1', '-1', '10000', '9999', '99990000', '0.0001', '0.00010', '0.00001', '-0.99999999', '100000000', '123456789.987654321', '1e4', '1e5', '1e-5', '1e1000', '-1e-1000', '1e131071', '1e-16383', 'NaN', 'Infinity', '-Infinity']) v
  union all select (n * 7919)::numeric / 10::numeric ^ abs(n % 23) from generate_series(-500, 500) n) v;
create table reals as select r::float4 as r, r as d, array[r::float4] as ra, array[r] as da from (
  select v::float8 as r from unnest(array['0', '-0', '1', '-1', '0.1', '1e5', '123456', '999999', '1e6', '1234567', '1e14', '999999999999999', '1e15', '1e16', '123456789012345', '1234567890123456', '1e22', '1e23', '9007199254740993', '4503599627370496.5', '0.0001', '0.00001', '0.000123', '1e-5', '3e38', '2e-44', '1.17549435e-38', '33554432', '67108864', '16777216', '8388608', '9.5e37', 'NaN', 'Infinity', '-Infinity']) v) x;
create table powers as select (2::numeric ^ n)::float8 as d, (2::numeric ^ n)::float8 * 3 as e, (10::numeric ^ (n / 4))::float8 as t from generate_series(-400, 900) n;
create table powers4 as select (2::numeric ^ n)::float4 as d, (10::numeric ^ (n / 4))::float4 as t from generate_series(-126, 127) n;
create table nothing (a integer, b text[]);
create table no_columns ();
insert into no_columns default values; insert into no_columns default values;
create table large as select repeat(E'long \\ text\t', 100000) as t, decode(repeat('00ff5c', 400000), 'hex') as b, to_jsonb(repeat(E'json"\n', 100000)) as j, to_json(repeat('x', 300000)) as js,
  array(select repeat(E'"\\', 50) from generate_series(1, 9000)) as a, 5 as five from generate_series(1, 3);
`

// TestTextRowsAreWhatTheServerPrints turns every binary table of the zoo, and
// of more, into text, compares the text with the server's own, has the server
// read it, and compares what it then holds.
func TestTextRowsAreWhatTheServerPrints(t *testing.T) {
	for _, v := range splicetest.Some(1, splicetest.Chosen()...) {
		t.Run("postgres"+v.Major, func(t *testing.T) { textRows(t, v.Major) })
	}
}

func textRows(t *testing.T, version string) {
	t.Helper()
	ctx := t.Context()
	s := splicetest.NewServer(t, version)
	if err := s.Exec(ctx, "postgres", "create database zoo"); err != nil {
		t.Fatal(err)
	}
	if err := splicetest.Zoo(ctx, s.DSN("zoo")); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(ctx, "zoo", moreTypes); err != nil {
		t.Fatal(err)
	}
	conn := session(t, s, "zoo")
	fillRandom(t, conn, version)
	all, err := tables(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	converted := 0
	for _, r := range all {
		if r.format != content.BinaryFormat {
			if r.schema == "more" {
				t.Errorf("%s is not read in binary", r.ident())
			}
			continue
		}
		converted++
		sameThereAndBack(t, conn, r)
	}
	if converted < 60 {
		t.Errorf("only %d of %d tables were converted", converted, len(all))
	}
}

func sameThereAndBack(t *testing.T, conn *pgx.Conn, r relation) {
	t.Helper()
	ctx := t.Context()
	table := tableOf(r)
	binary := copied(t, conn, copySQL(r.ident(), r.columnNames(), "", content.BinaryFormat))
	own := copied(t, conn, copySQL(r.ident(), r.columnNames(), "", content.TextFormat))
	var text bytes.Buffer
	rows, err := TextRows(&text, bytes.NewReader(binary), table)
	if err != nil {
		t.Error(err)
		return
	}
	if n := int64(bytes.Count(own, []byte("\n"))); rows != n {
		t.Errorf("%s: %d rows, the server has %d", r.ident(), rows, n)
	}
	if at, ours, servers := difference(text.Bytes(), own); at > 0 {
		t.Errorf("%s, line %d: we print\n%s\nthe server\n%s", r.ident(), at, ours, servers)
	}
	if len(table.Columns) == 0 {
		return
	}
	create := "DROP TABLE IF EXISTS more.again; CREATE TABLE more.again AS SELECT " + selection(table.Columns) +
		" FROM " + r.ident() + " WITH NO DATA"
	if _, err := conn.Exec(ctx, create, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().CopyFrom(ctx, &text, "COPY more.again FROM STDIN"); err != nil {
		t.Errorf("%s: the server does not read what we print: %v", r.ident(), err)
		return
	}
	if again := copied(t, conn,
		copySQL("more.again", table.Columns, "", content.BinaryFormat)); !bytes.Equal(again, binary) {
		t.Errorf("%s came back different", r.ident())
	}
}

func tableOf(r relation) content.Table {
	table := content.Table{Schema: r.schema, Name: r.name, Format: r.format, Columns: r.columnNames()}
	for _, c := range r.columns {
		table.Types = append(table.Types, c.typeName)
	}
	return table
}

func session(t *testing.T, s *splicetest.Server, db string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN(db))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	major, _ := strconv.Atoi(s.Version.Major)
	if err := execute(t.Context(), conn, reading("UTF8", major)...); err != nil {
		t.Fatal(err)
	}
	return conn
}

func copied(t *testing.T, conn *pgx.Conn, sql string) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &out, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out.Bytes()
}

// difference is the first line that differs, cut to what can be read.
func difference(a, b []byte) (line int, first, second string) {
	as, bs := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range max(len(as), len(bs)) {
		var x, y []byte
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if !bytes.Equal(x, y) {
			return i + 1, fmt.Sprintf("%.500s", x), fmt.Sprintf("%.500s", y)
		}
	}
	return 0, "", ""
}

// fillRandom makes a table of bit patterns, which reach what nobody thinks of:
// others for each version, as all versions print alike.
func fillRandom(t *testing.T, conn *pgx.Conn, version string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(),
		"create table more.random (r real, d double precision, t timestamptz, n date)"); err != nil {
		t.Fatal(err)
	}
	major, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	stream := randomRows(rand.New(rand.NewPCG(1, major)), 200_000/len(splicetest.Versions()))
	if _, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(stream),
		"COPY more.random FROM STDIN (FORMAT binary)"); err != nil {
		t.Fatal(err)
	}
}

// randomRows is a binary COPY of about so many rows.
func randomRows(random *rand.Rand, rows int) []byte {
	stream := append([]byte(binarySignature), make([]byte, 8)...)
	put4 := func(v uint32) { stream = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(stream, 4), v) }
	put8 := func(v uint64) { stream = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(stream, 8), v) }
	for n := range rows {
		f4, f8 := random.Uint32(), random.Uint64()
		if n%2 == 0 { // around the numbers that people write
			f8 = math.Float64bits(float64(random.Int64N(1e6)) * math.Pow10(random.IntN(40)-20))
			f4 = math.Float32bits(float32(random.Int64N(1e4)) * float32(math.Pow10(random.IntN(30)-12)))
		}
		if math.IsNaN(math.Float64frombits(f8)) || math.IsNaN(float64(math.Float32frombits(f4))) {
			continue // a server does not give its NaN back with every bit
		}
		stream = binary.BigEndian.AppendUint16(stream, 4)
		put4(f4)
		put8(f8)
		put8(uint64(int64(random.Uint64N(microPastEnd-firstMicro)) + firstMicro))
		put4(uint32(int32(random.Int64N(dayAfterLast-firstDay) + firstDay)))
	}
	return binary.BigEndian.AppendUint16(stream, math.MaxUint16)
}

func TestTextRowsPrintsEveryStableType(t *testing.T) {
	of := map[uint32]printer{}
	for _, p := range printers {
		of[p.oid] = p
	}
	ctx := t.Context()
	conn := session(t, splicetest.NewServer(t, ""), "postgres")
	for oid := range stable {
		var name string
		var element uint32
		if err := conn.QueryRow(ctx,
			"select format_type(oid, -1), case when typcategory = 'A' then typelem else 0 end from pg_type "+
				"where oid = $1", oid).Scan(&name, &element); err != nil {
			t.Fatal(err)
		}
		p, err := printerOf(name)
		switch {
		case err != nil:
			t.Error(err)
		case element == 0 && p.oid != oid || element != 0 && p.element.oid != element:
			t.Errorf("%s, %d, has the printer of another type", name, oid)
		}
		delete(of, oid)
	}
	if len(of) > 0 {
		t.Errorf("printers of types that are not stable: %v", of)
	}
}

// binaryCopy builds a binary COPY of rows of fields; nil is NULL.
func binaryCopy(rows ...[][]byte) []byte {
	out := append([]byte(binarySignature), make([]byte, 8)...)
	for _, row := range rows {
		out = binary.BigEndian.AppendUint16(out, uint16(len(row)))
		for _, f := range row {
			if f == nil {
				out = append(out, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(f))), f...)
		}
	}
	return append(out, 0xff, 0xff)
}

func TestTextRowsRefusesWhatIsNotACopy(t *testing.T) {
	good := binaryCopy([][]byte{{0, 0, 0, 7}, []byte("x")}, [][]byte{nil, nil})
	table := func(types ...string) content.Table {
		return content.Table{Schema: "s", Name: "t", Columns: []string{"a", "b", "c"}[:len(types)], Types: types}
	}
	for _, c := range []struct {
		name   string
		stream []byte
		table  content.Table
		want   string
	}{
		{"another signature", []byte("PGCOPY\nxxxxxxxxxxxxxxx"), table("integer"), "does not begin"},
		{"nothing", nil, table("integer"), "within its header"},
		{"no trailer", good[:len(good)-2], table("integer", "text"),
			`table "s"."t", row 3: the stream ends before its trailer`},
		{"cut in a value", good[:len(binarySignature)+8+2+4+2], table("integer", "text"),
			`row 1, column "a" of type integer: the stream ends`},
		{"more behind it", append(bytes.Clone(good), 0), table("integer", "text"), "goes on behind its trailer"},
		{"fewer columns", good, table("integer"), "row 1: the row has 2 columns instead of 1"},
		{"a type that needs the server", good, table("integer", "interval"), `column "b": values of type interval`},
		{"an array of a type of its own", good, table("integer", "s.mood[]"), "s.mood[]"},
		{"flags", append([]byte(binarySignature), 0, 1, 0, 0, 0, 0, 0, 0), table("integer"), "flags"},
		{"an integer of five bytes", binaryCopy([][]byte{{0, 0, 0, 0, 7}}), table("integer"), "5 bytes instead of 4"},
		{"a boolean of two", binaryCopy([][]byte{{2}}), table("boolean"), "neither true nor false"},
		{"a text with a zero", binaryCopy([][]byte{{'a', 0}}), table("text"), "zero byte"},
		{"a label that is none", binaryCopy([][]byte{bytes.Repeat([]byte("x"), 64)}), table("s.mood"), "at most 63"},
		{"jsonb of version 2", binaryCopy([][]byte{{2, '1'}}), table("jsonb"), "version 2"},
		{"a day past the last", binaryCopy([][]byte{{0x7f, 0xff, 0xff, 0xfe}}), table("date"), "out of range"},
		{"a time of 25 h", binaryCopy([][]byte{{0, 0, 0, 0x20, 0, 0, 0, 0}}), table("time without time zone"),
			"not a time of day"},
		{"a numeric digit of 10000", binaryCopy([][]byte{{0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10}}), table("numeric"),
			"10000"},
		{"an array of another type", binaryCopy([][]byte{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20}}), table("integer[]"),
			"type 20 instead of 23"},
		{"an array cut short", binaryCopy([][]byte{{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 1}}),
			table("integer[]"), "cut short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := TextRows(io.Discard, bytes.NewReader(c.stream), c.table)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if rows, err := TextRows(io.Discard, bytes.NewReader(good), table("integer", "text")); err != nil || rows != 2 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// FuzzTextRows feeds whatever a stream may hold to every printer at once: it
// may be refused, but nothing may panic, and what is accepted has the lines
// and columns that it claims.
func FuzzTextRows(f *testing.F) {
	var names []string
	for name := range printers {
		names = append(names, name, name+"[]")
	}
	names = append(names, "s.mood")
	f.Add([]byte{0, 0, 0, 7})
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 1})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 5})
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 1,
		'"'})
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, name := range names {
			table := content.Table{Columns: []string{"a", "b"}, Types: []string{name, "integer"}}
			var out bytes.Buffer
			rows, err := TextRows(&out, bytes.NewReader(binaryCopy([][]byte{value, nil})), table)
			if err != nil {
				continue
			}
			if line := out.String(); rows != 1 || strings.Count(line, "\n") != 1 || strings.Count(line, "\t") != 1 {
				t.Fatalf("%s: %d rows: %q", name, rows, line)
			}
		}
		_, _ = TextRows(io.Discard, bytes.NewReader(value), content.Table{
			Columns: []string{"a"},
			Types:   []string{"text"},
		})
	})
}

// BenchmarkTextRows converts rows like those of a participant: an offset, an
// identifier, and a protobuf message.
func BenchmarkTextRows(b *testing.B) {
	row := [][]byte{{0, 0, 0, 0, 0, 0, 0, 9}, []byte("1220" + strings.Repeat("ab", 32)),
		bytes.Repeat([]byte{8, 0xff, '\\', 1}, 250)}
	rows := make([][][]byte, 10000)
	for i := range rows {
		rows[i] = row
	}
	stream := binaryCopy(rows...)
	table := content.Table{
		Columns: []string{"a", "b", "c"},
		Types:   []string{"bigint", "character varying(300)", "bytea"},
	}
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		if _, err := TextRows(io.Discard, bytes.NewReader(stream), table); err != nil {
			b.Fatal(err)
		}
	}
}
