package metrics

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The metrics of the program itself.
const (
	buildInfo = "holdfast_build_info"
	clock     = "holdfast_clock_timestamp_seconds"
)

// OfTheProgram lists the metrics that have no node.
func OfTheProgram() []Metric {
	return []Metric{
		{Name: buildInfo, Help: "1, with the version of the program and of Go.", Labels: []string{"version", "goversion"}},
		{Name: clock, Help: "The time on this machine's clock, to be compared with the scraper's."},
	}
}

// Handler answers with the metrics of the nodes, of the program and of its
// process.
func Handler(version string, nodes func() []Node) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(version, nodes),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// collector computes every metric when it is asked for.
type collector struct {
	version string
	nodes   func() []Node
	table   []Metric
	descs   map[string]*prometheus.Desc
}

func newCollector(version string, nodes func() []Node) collector {
	c := collector{version: version, nodes: nodes, table: Table(), descs: map[string]*prometheus.Desc{}}
	for _, m := range c.table {
		c.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, append([]string{"node"}, m.Labels...), nil)
	}
	for _, m := range OfTheProgram() {
		c.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	send := func(name string, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[name], typeOf(name), value, labels...)
	}
	send(buildInfo, 1, c.version, runtime.Version())
	send(clock, float64(time.Now().UnixMilli())/1000)
	for _, n := range c.nodes() {
		for _, m := range c.table {
			m.of(n, func(value float64, labels ...string) {
				send(m.Name, value, append([]string{string(n.Name)}, labels...)...)
			})
		}
	}
}

// typeOf is the type of a metric: by convention a counter's name says so.
func typeOf(name string) prometheus.ValueType {
	if strings.HasSuffix(name, "_total") {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}
