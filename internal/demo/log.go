package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// NewLogger writes to out, as JSON or as lines like
//
//	2026/01/02 15:04:05 [INFO] Added backend: http://localhost:8081 (weight: 3)
//
// Whoever logs never waits for out: flush does, at the end.
func NewLogger(out io.Writer, format string, level slog.Level) (logger *slog.Logger, flush func()) {
	lines := newQueue(out)
	if format == "json" {
		return slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level})), lines.flush
	}
	return slog.New(textHandler{out: lines, level: level}), lines.flush
}

// textHandler is the slog.Handler of the demo's text form.
type textHandler struct {
	out   io.Writer
	level slog.Level
	attrs string
}

func (h textHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h textHandler) Handle(_ context.Context, r slog.Record) error {
	var line bytes.Buffer
	fmt.Fprintf(&line, "%s [%s] %s%s", r.Time.Format("2006/01/02 15:04:05"), r.Level, r.Message, h.attrs)
	r.Attrs(func(a slog.Attr) bool { line.WriteString(format(a)); return true })
	line.WriteByte('\n')
	_, err := h.out.Write(line.Bytes())
	return err
}

func (h textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += format(a)
	}
	return h
}

func (h textHandler) WithGroup(string) slog.Handler { return h }

// format writes one attribute; a value that could end the line or look like another is quoted.
func format(a slog.Attr) string {
	value := a.Value.String()
	if quoted := strconv.Quote(value); value == "" || len(quoted) != len(value)+2 || strings.ContainsAny(value, " =") {
		value = quoted
	}
	return " " + a.Key + "=" + value
}

// queue passes lines on to a slow writer, and drops them rather than wait for it.
type queue struct {
	lines chan []byte
	done  chan struct{}
	mu    sync.RWMutex // writers share it, flush has it alone
	ended bool
}

func newQueue(out io.Writer) *queue {
	q := &queue{lines: make(chan []byte, 4096), done: make(chan struct{})}
	go func() {
		defer close(q.done)
		for line := range q.lines {
			_, _ = out.Write(line)
		}
	}()
	return q
}

func (q *queue) Write(line []byte) (int, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if !q.ended {
		select {
		case q.lines <- bytes.Clone(line):
		default: // better lost than late
		}
	}
	return len(line), nil
}

func (q *queue) flush() {
	q.mu.Lock()
	if !q.ended {
		q.ended = true
		close(q.lines)
	}
	q.mu.Unlock()
	<-q.done
}
