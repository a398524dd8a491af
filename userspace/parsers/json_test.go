package parsers_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// reference is what encoding/json makes of s, HTML characters left alone.
func reference(t *testing.T, s string) string {
	t.Helper()
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}

func TestAppendJSONString(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	tests := []struct{ name, in string }{
		{"empty", ""},
		{"plain", "text/html; charset=utf-8"},
		{"quotes and backslash", `a"b\c`},
		{"html", "<a href='x'>&</a>"},
		{"every byte", string(every)},
		{"characters of two to four bytes", "äß€😀"},
		{"cut character", "a\xe2\x82"},
		{"surrogate", "\xed\xa0\x80"},
		{"overlong", "\xc0\xaf"},
		{"beyond unicode", "\xf4\x90\x80\x80"},
		{"the replacement character itself", "\ufffd"},
		{"line separators", "\u2028\u2029"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := reference(t, tt.in)
			if got := string(parsers.AppendJSONString([]byte("x"), tt.in)); got != "x"+want {
				t.Errorf("AppendJSONString(%q) = %s, want x%s", tt.in, got, want)
			}
			if got := string(parsers.AppendJSONString(nil, []byte(tt.in))); got != want {
				t.Errorf("AppendJSONString(bytes %q) = %s, want %s", tt.in, got, want)
			}
		})
	}
}

func TestAppendJSONStringAllocates(t *testing.T) {
	b := make([]byte, 0, 256)
	s := "plain, \"quoted\", \xff broken and € whole"
	if n := testing.AllocsPerRun(100, func() { b = parsers.AppendJSONString(b[:0], s) }); n != 0 {
		t.Errorf("AppendJSONString allocates %v times, want 0", n)
	}
}

func FuzzAppendJSONString(f *testing.F) {
	f.Add("GET / \x00\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(parsers.AppendJSONString(nil, s)), reference(t, s); got != want {
			t.Errorf("AppendJSONString(%q) = %s, want %s", s, got, want)
		}
	})
}
