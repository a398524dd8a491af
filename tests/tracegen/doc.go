// Package tracegen makes capture files together with the truth about them: every flow
// with its counts, the hash of what each side said, and every message in it.
//
// [Write] makes a trace of one [Kind]. The same options give the same bytes.
//
//	truth, err := tracegen.Write(file, tracegen.Options{Kind: tracegen.Web, Flows: 1000})
//
// The frames are written by code of its own, so that it can judge the project's
// decoder and its packet builder alike. Times begin at [Epoch] and advance by a fixed
// step a frame.
package tracegen
