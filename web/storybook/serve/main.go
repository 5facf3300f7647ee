// Serve serves every story at an address of its own, until it is interrupted.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"holdfast/web/storybook"
)

func main() {
	for _, story := range storybook.Stories() {
		handler, err := story.Site.Handler()
		if err == nil {
			var l net.Listener
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
				fmt.Printf("%-12s http://%s%s\n", story.Name, l.Addr(), story.Paths[0])
				go func() { _ = (&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}).Serve(l) }()
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	select {}
}
