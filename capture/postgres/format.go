package postgres

import "holdfast/content"

// stable are the built-in types whose binary form is the same on every server
// of the versions supported, and which an export can turn into text without a
// server. Names of objects (regclass and the like) are left out: their binary
// form is a number that only the one database knows.
var stable = map[uint32]bool{
	16: true, 17: true, 18: true, 19: true, 20: true, 21: true, 23: true, 25: true, 26: true, // bool bytea "char" name int8 int2 int4 text oid
	114: true, 700: true, 701: true, 1042: true, 1043: true, // json float4 float8 bpchar varchar
	1082: true, 1083: true, 1114: true, 1184: true, 1700: true, 2950: true, 3802: true, // date time timestamp timestamptz numeric uuid jsonb
	1000: true, 1001: true, 1002: true, 1003: true, 1016: true, 1005: true, 1007: true, 1009: true, 1028: true, // their arrays
	199: true, 1021: true, 1022: true, 1014: true, 1015: true,
	1182: true, 1183: true, 1115: true, 1185: true, 1231: true, 2951: true, 3807: true,
}

// datatype is what decides whether a column can be read in binary.
type datatype struct {
	oid  uint32
	kind byte   // pg_type.typtype: b base, c composite, d domain, e enum, r range, m multirange
	base uint32 // of a domain
	name string // as format_type prints it
}

// baseOf returns the type that a domain rests on, or the type itself.
func baseOf(oid uint32, types map[uint32]datatype) uint32 {
	for range 32 { // a domain over a domain; the bound guards against a broken catalogue
		t, known := types[oid]
		if !known || t.kind != 'd' {
			break
		}
		oid = t.base
	}
	return oid
}

// formatOf chooses the format of a table: binary when every column's type is
// stable, an enum (whose binary form is its label), or a domain over such a
// type; text otherwise. Arrays and composites with types of the database's own
// carry their numbers in binary form, so they go as text.
func formatOf(columns []uint32, types map[uint32]datatype) string {
	for _, oid := range columns {
		oid = baseOf(oid, types)
		if !stable[oid] && types[oid].kind != 'e' {
			return content.TextFormat
		}
	}
	return content.BinaryFormat
}
