package reassembly

import "unsafe"

const (
	sizeofAssembler = unsafe.Sizeof(Assembler{})
	sizeofPiece     = unsafe.Sizeof(piece{})
	sizeofHeld      = unsafe.Sizeof(held{})
)
