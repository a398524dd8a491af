package packet

// LongDecoder returns a Decoder that never takes the short way.
func LongDecoder() *Decoder {
	d := &Decoder{plan: DecapAuto.compile()}
	d.plan.noDirect = true
	return d
}
