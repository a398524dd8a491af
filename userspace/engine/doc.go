// Package engine joins the XDP program and the pipeline: it carries ring records into
// a driver, ages flows in the shared table, and adds the kernel's counters to the
// summary.
//
// [Live] runs on interfaces until its context ends. [Replay] pushes the frames of a
// capture through the same program by BPF_PROG_TEST_RUN, each with its own time, so that
// a file says what a live run would have said.
package engine
