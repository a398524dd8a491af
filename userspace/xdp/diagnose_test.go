package xdp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCgroupLimit holds that the least limit on the way up counts.
func TestCgroupLimit(t *testing.T) {
	tests := []struct {
		name, self string
		max        map[string]string
		want       int64
		group      string
	}{
		{"none", "0::/a/b\n", map[string]string{"a/b": "max\n"}, -1, ""},
		{"own", "0::/a/b\n", map[string]string{"a/b": "1000\n", "a": "max\n"}, 1000, "/a/b"},
		{"of a parent", "0::/a/b\n", map[string]string{"a/b": "1000\n", "a": "10\n"}, 10, "/a"},
		{"controller off", "0::/a/b\n", map[string]string{"a": "10\n"}, 10, "/a"},
		{"root group", "0::/\n", nil, -1, ""},
		{"version 1", "5:memory:/a\n1:name=systemd:/a\n", map[string]string{"a": "10\n"}, -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			self := filepath.Join(root, "self")
			write(t, self, tt.self)
			for dir, text := range tt.max {
				write(t, filepath.Join(root, dir, "memory.max"), text)
			}
			limit, group, err := cgroupLimit(root, self)
			if limit != tt.want || group != tt.group || err != nil {
				t.Errorf("%d of %q, %v; want %d of %q", limit, group, err, tt.want, tt.group)
			}
		})
	}
}

func TestSymmetricKey(t *testing.T) {
	usual := []byte{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2} // of Microsoft's RSS
	repeats := []byte{0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a}
	if symmetricKey(usual) || !symmetricKey(repeats) || symmetricKey(nil) {
		t.Errorf("%t, %t, %t; want only the key that repeats", symmetricKey(usual), symmetricKey(repeats), symmetricKey(nil))
	}
}

func TestOffloadFindings(t *testing.T) {
	l := offloadFindings("eth0", "device", map[string]bool{"rx-lro": true, "rx-gro-hw": true, "rx-gro": true})
	if len(l) != 2 || l[0].Mend != "ethtool -K eth0 lro off" || l[1].Mend != "ethtool -K eth0 rx-gro-hw off" {
		t.Errorf("%+v, want LRO and GRO in hardware", l)
	}
	if l := offloadFindings("eth0", "device", nil); len(l) != 1 || l[0].Level != OK {
		t.Errorf("%+v, want one that is well", l)
	}
	l = offloadFindings("v0", "veth", map[string]bool{"rx-vlan-hw-parse": true})
	if len(l) != 1 || !strings.Contains(l[0].Mend, "PEER txvlan off") {
		t.Errorf("%+v, want the other end mended", l)
	}
}
