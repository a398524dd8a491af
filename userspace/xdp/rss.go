package xdp

import (
	"bytes"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolRxfh is struct ethtool_rxfh of linux/ethtool.h, with room for table and key.
type ethtoolRxfh struct {
	cmd, context, indirSize, keySize uint32
	hfunc, inputXfrm                 uint8
	_                                [6]uint8
	config                           [4096]uint32
}

const (
	ethtoolGRSSH = 0x46
	hashToeplitz = 1
)

// rssSymmetric reports whether a card gives both directions of a flow to one queue, as far as
// its driver tells.
func rssSymmetric(ifname string) (bool, error) {
	var r ethtoolRxfh
	r.cmd = ethtoolGRSSH
	if err := ethtoolIoctl(ifname, unsafe.Pointer(&r)); err != nil {
		return false, err
	}
	if r.inputXfrm != 0 { // symmetric-xor or symmetric-or-xor
		return true, nil
	}
	if int(r.indirSize)*4+int(r.keySize) > len(r.config)*4 || r.hfunc != hashToeplitz {
		return false, nil
	}
	r.cmd = ethtoolGRSSH
	if err := ethtoolIoctl(ifname, unsafe.Pointer(&r)); err != nil {
		return false, err
	}
	config := unsafe.Slice((*byte)(unsafe.Pointer(&r.config)), len(r.config)*4)
	return symmetricKey(config[r.indirSize*4:][:r.keySize]), nil
}

// symmetricKey reports whether a Toeplitz key hashes both directions of a flow alike: one
// whose 16 bits repeat, such as 6d:5a:6d:5a…
func symmetricKey(key []byte) bool {
	return len(key) > 2 && bytes.Equal(key[2:], key[:len(key)-2])
}

func ethtoolIoctl(ifname string, request unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var ifreq struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifreq.name[:unix.IFNAMSIZ-1], ifname)
	ifreq.data = request
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return fmt.Errorf("ask for receive-side scaling: %w", errno)
	}
	return nil
}
