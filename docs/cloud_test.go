package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/cost"
	"holdfast/internal/splicetest/rdsapi"
)

// account gives the site a configuration, cloud.yaml, of a node on an instance of an
// account.
func (s *site) account(t *testing.T) {
	t.Helper()
	account := rdsapi.New(t, rdsapi.Instance{ID: "canton", Server: s.node.Participant})
	s.env = append(s.env, "AWS_ACCESS_KEY_ID="+rdsapi.Key, "AWS_SECRET_ACCESS_KEY="+rdsapi.Secret, "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
	text := fmt.Sprintf(`node: my-validator
databases:
  validator: {connection: '%s', method: rds, rds: {instance: canton}}
  participant: {connection: '%s', method: rds, rds: {instance: canton}}
rds: {region: %s, endpoint: '%s', prices: {hours: {db.t4g.micro: 0.016 USD}}}
repository: {path: repository, password: 'file:repository.password'}
`, s.node.ValidatorDSN(), s.node.ParticipantDSN(), rdsapi.Region, account.URL)
	if err := os.WriteFile(filepath.Join(s.dir, "cloud.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rowsBelow are the cells of the table of a page whose header begins so.
func rowsBelow(t *testing.T, page, header string) (rows [][]string) {
	t.Helper()
	_, after, found := strings.Cut(page, "\n| "+header+" |")
	if !found {
		t.Fatalf("no table begins with %q", header)
	}
	for i, line := range strings.Split(after, "\n") {
		switch {
		case i < 2: // the rest of the header, and the line below it
		case !strings.HasPrefix(line, "|"):
			return rows
		default:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for k := range cells {
				cells[k] = strings.TrimSpace(cells[k])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// What a month costs is what the program computes, at the prices that the page names,
// each with its source. A price that nobody gave is used for nothing.
func TestWhatAMonthCosts(t *testing.T) {
	text, err := os.ReadFile("cloud.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	prices := cost.Prices{Currency: "USD", Hours: map[string]float64{}}
	hour := regexp.MustCompile("^an hour of `(.*)`$")
	for _, row := range rowsBelow(t, page, "price") {
		amount, err := strconv.ParseFloat(row[1], 64)
		if row[1] != "yours" && (err != nil || row[2] == "") {
			t.Errorf("a price without an amount or a source: %v", row)
		}
		switch m := hour.FindStringSubmatch(row[0]); {
		case m != nil:
			prices.Hours[m[1]] = amount
		case strings.HasPrefix(row[0], "a GB-month of instance storage"):
			prices.Storage = amount
		case strings.HasPrefix(row[0], "a GB-month of snapshots, beyond"):
			prices.Snapshots = amount
		case amount != 0:
			t.Errorf("a price that is used for nothing: %v", row)
		}
	}
	const week = 30.0 / 7
	m := cost.Month{GB: 25, ChangedGB: 1, Days: 30, Lifts: week, LiftTakes: time.Hour, Class: "db.t4g.medium"}
	aurora := prices
	aurora.Snapshots = 0
	want := []struct {
		method string
		uses   cost.Usage
		prices cost.Prices
	}{
		{"`dump`", m.Dump(), prices}, {"`rds`, an instance", m.RDS(), prices}, {"the same, with a [lift]", m.Lift(), prices},
		{"`rds`, Aurora", m.Aurora(), aurora},
	}
	rows := rowsBelow(t, page, "method")
	for i, w := range want {
		sum := w.prices.Of(w.uses)
		cell, amount := rows[i][1], fmt.Sprintf(": %.2f USD", sum.Amount)
		if !strings.HasPrefix(rows[i][0], w.method) || !strings.Contains(cell, w.uses.String()) ||
			strings.Contains(cell, amount) != (sum.Amount > 0) || sum.Amount == 0 && strings.Contains(cell, "USD") {
			t.Errorf("%s: the page has %q, and it comes to %s: %s", rows[i][0], cell, w.uses, sum)
		}
	}
}
