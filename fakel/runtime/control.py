"""Where things lie in the memory that a team's threads share: one array of 64-bit words.

What different threads write lies two cache lines apart, since processors fetch lines in pairs.
"""

from __future__ import annotations

LINE = 16  # words between what different threads write

# a gate, in words from its beginning
VALUE = 0  # counts up whenever the gate opens
SPINS = 1  # how often to look before sleeping
SLEEPERS = LINE
MUTEX = 2 * LINE  # a pthread_mutex_t: 64 bytes on macOS, fewer elsewhere
CONDITION = 3 * LINE  # a pthread_cond_t: 48 bytes
GATE = 4 * LINE

# the control block
PROGRAM = 0  # the gate where workers wait for a program
TABLE, ROWS, THREADS = 2, 3, 4  # the program; negative rows end the workers
STARTED = 5  # whether the workers exist
WORKERS = 6  # the address of their records
STAMPS = 7  # the address of a timed team's stamps: for each row and thread, two words of time
BARRIER = GATE  # the gate where threads wait for each other
ARRIVED = 2 * GATE  # threads that have come to the barrier
FAILURE = 2 * GATE + LINE  # the least (row << 32 | status) of a kernel that failed
WORDS = 2 * GATE + 2 * LINE

# a worker's record
CONTROL, NUMBER, HANDLE = 0, 1, 2  # the control block, its number from 1 on, its pthread_t
WORKER = 3

ROW = 4  # words of a table's row: function, arguments, flags, number of the label (see trace.py)
PARALLEL = 1  # flags: every thread does its share of the row
ORDERED = 2  # the row needs what earlier rows did

NOT_STARTED = -1  # the program needs the workers, and there are none yet
NO_FAILURE = -1  # as an unsigned number above all others
