// Package endpoint is where a service answers requests over HTTP: whether it is
// alive, whether it is ready, its metrics, and behind these a page.
//
//	/healthz   200 while every node's loop goes round
//	/readyz    200 when every node's repository was read; 503 names the others
//	/metrics   for Prometheus
//	/          the page, if there is one
//
// The first three carry no secret and need no login.
package endpoint
