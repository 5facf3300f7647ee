package repository

import (
	"encoding/binary"
	"hash/crc32"
)

// How kopia's error correction (REED-SOLOMON-CRC32) lays out a piece: parity
// shards first, then data shards, each behind its CRC-32. kopia corrects
// silently while it reads, so the checksums show whether it had to. Source:
// kopia v0.23.1, repo/ecc/ecc_rs_crc.go.
const (
	shardSum    = 4
	smallData   = 6
	smallParity = 2
)

// layout is how one stored piece is divided.
type layout struct{ data, parity, size, blocks int }

// alteredShards counts the shards of a stored piece that do not match their
// checksums. A piece that is too short has none.
func alteredShards(stored []byte, overheadPercent int) int {
	l := layoutOf(len(stored), overheadPercent)
	altered, rest := 0, stored
	whole := func(size int) {
		n := min(len(rest), shardSum+size)
		shard := rest[:n]
		rest = rest[n:]
		if n <= shardSum {
			return
		}
		content := shard[shardSum:]
		if len(content) < size { // the padding of the last shard is not stored
			content = append(append(make([]byte, 0, size), content...), make([]byte, size-len(content))...)
		}
		if binary.BigEndian.Uint32(shard) != crc32.ChecksumIEEE(content) {
			altered++
		}
	}
	for range l.blocks * (l.parity + l.data) {
		whole(l.size)
	}
	return altered
}

// layoutOf computes the layout from the stored length, as kopia does.
func layoutOf(stored, overheadPercent int) layout {
	most := 64
	switch {
	case overheadPercent == 1:
		most = 1024
	case overheadPercent == 2:
		most = 512
	case overheadPercent == 3:
		most = 256
	case overheadPercent <= 6:
		most = 128
	}
	data, parity := shardCounts(max(float32(overheadPercent)-100*shardSum/float32(most), 0.01))
	up := func(a, b int) int { return (a + b - 1) / b }
	final := func(data, parity, size int) int { return (parity + data) * (shardSum + size) }
	smallest := final(smallData, smallParity, up(2*shardSum*(data+parity), smallData))
	one := func(data, parity int) layout {
		return layout{data, parity, max(up(stored, data+parity), 1+shardSum) - shardSum, 1}
	}
	switch {
	case stored <= smallest:
		return one(smallData, smallParity)
	case stored <= final(data, parity, most):
		return one(data, parity)
	}
	return layout{data, parity, most, up(stored, final(data, parity, most))}
}

// shardCounts returns how many shards of data and of parity kopia uses for that
// overhead, in percent.
func shardCounts(overhead float32) (data, parity int) {
	part := func(n int, share float32) int { return int(float64(n) * float64(share)) }
	data, parity = 128, min(max(part(128, overhead/100), 1), 128)
	if parity == 1 {
		parity = 2
		data = min(max(part(parity, 100/overhead), 128), 254)
	}
	return data, parity
}
