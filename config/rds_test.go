package config_test

import (
	"strings"
	"testing"

	"holdfast/config"
)

// A database that RDS captures says where in RDS it is, and one that is dumped
// does not.
func TestDatabasesOfRDS(t *testing.T) {
	const head = "node: n\nrepository: {path: r, password: env:P}\n"
	for _, c := range []struct{ text, says string }{
		{"databases: {participant: {connection: 'postgres://h/d', method: rds, rds: {instance: canton}}}\n" +
			"rds: {region: eu-central-1, within: 2h, rows_from: snapshot}\n", ""},
		{"databases: {participant: 'postgres://h/d'}\nrds: {prices: {hours: {db.t4g.micro: 0.016 USD}, storage: 0.115 USD}}\n", ""},
		{"databases: {participant: 'postgres://h/d'}\nrds: {prices: {hours: {db.t4g.micro: 0.016}}}\n",
			"rds.prices.hours.db.t4g.micro: want an amount and its currency"},
		{"databases: {participant: 'postgres://h/d'}\nrds: {prices: {snapshots: 0.095 USD, storage: 0.1 EUR}}\n",
			"rds.prices.snapshots: it is in USD, and another price in EUR"},
		{"databases: {participant: 'postgres://h/d'}\nrds: {rows_from: dump}\n", "rds.rows_from: want one of [snapshot live]"},
		{"databases: {participant: {connection: 'postgres://h/d', method: rds}}\n", "databases.participant.rds.instance"},
		{"databases: {participant: {connection: 'postgres://h/d', rds: {instance: canton}}}\n", "`method: rds` alone"},
		{"databases: {participant: {connection: 'postgres://h/d', method: dump, rds: {instance: canton}}}\n", "alone"},
		{"databases: {participant: {connection: 'postgres://h/d', method: rds, rds: {cluster: canton}}}\n", "cluster"},
		{"databases: {participant: {connection: 'postgres://h/d', method: snapshot}}\n", "cannot capture by snapshot yet"},
		{"databases: {participant: 'postgres://h/d'}\nrds: {endpoint: 'ftp://h'}\n", "rds.endpoint"},
		{"databases: {participant: 'postgres://h/d'}\nrds: {endpoint: 'https://user:secret@h'}\n", "rds.endpoint"},
	} {
		_, err := config.Parse("/etc/holdfast/holdfast.yaml", []byte(head+c.text), nil)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}
