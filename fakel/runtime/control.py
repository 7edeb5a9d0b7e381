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
TABLE, ROWS, THREADS = 2, 3, 4  # the program, and into how many parts its parallel rows are cut
STARTED = 5  # whether the workers exist
WORKERS = 6  # the address of their records
STAMPS = 7  # the address of a timed team's stamps: for each row and part, two words of time
TALLIES = 8  # the address of the rows' tallies
RUNNING = 9  # whether workers that come may take part
ENDING = 10  # whether they are to end
PRESENT = 11  # whether the thread that started the program takes part
FINENESS = 12  # fine rows are cut into 2**fineness parts for each thread
DONE = GATE  # the gate where threads wait for each other: it counts the parts that are done
ACTIVE = 2 * GATE  # workers that may be looking at the program
FAILURE = 2 * GATE + LINE  # the least (row << 32 | status) of a kernel that failed
WORDS = 2 * GATE + 2 * LINE

# a worker's record
CONTROL, NUMBER, HANDLE = 0, 1, 2  # the control block, its number from 1 on, its pthread_t
WORKER = 3

# a row's tally: the parts of all rows before it, and a bit for each of its parts that was taken
BEFORE, TAKEN = 0, 1
TALLY = 2
MOST_PARTS = 64

ROW = 4  # words of a table's row: function, arguments, flags, number of the label (see trace.py)
ARGUMENTS = 1  # the word of the arguments' address
PARALLEL = 1  # flags: the row is cut into as many parts as there are threads
ORDERED = 2  # the row needs what earlier rows did
FINE = 4  # a parallel row is cut into more parts, so that threads which are ahead can take over

NOT_STARTED = -1  # the program needs the workers, and there are none yet
NO_FAILURE = -1  # as an unsigned number above all others
