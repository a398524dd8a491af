package prom

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Server answers /metrics and /healthz over HTTP.
type Server struct {
	http   http.Server
	listen net.Listener
	done   chan error
}

const (
	requestTimeout = 5 * time.Second
	maxScrapes     = 4 // at once; more are answered with 503
)

// Listen serves e on the TCP address addr, such as "127.0.0.1:9190" or ":9190", with
// metrics of the process and of Go beside it. /healthz is 200 while healthy returns nil,
// else 503 with its error. It starts a goroutine that ends with Close.
func Listen(addr string, e *Exporter, healthy func() error) (*Server, error) {
	reg := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("serve metrics: %w", err)
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	s := &Server{listen: l, done: make(chan error, 1)}
	s.http = http.Server{Handler: handler(reg, healthy), ReadTimeout: requestTimeout, WriteTimeout: 2 * requestTimeout, IdleTimeout: time.Minute}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

func handler(reg *prometheus.Registry, healthy func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, Registry: reg,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// Addr returns the address that is listened on.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// Close waits for requests that are being answered, not for long, and stops serving. It
// may be called once.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
