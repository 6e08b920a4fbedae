/** Every limit of the sandbox, in one place, for both sides of the pipe. Sizes are in characters of JSON text or of
 *  source, which is what crosses the pipe; a character is at most three bytes there. */

const KiB = 1024
const MiB = 1024 * KiB

export const limits = {
  /** TypeScript's stripper runs outside of the machine, where no interrupt reaches it: its source is kept small. */
  typescript_source: 256 * KiB,
  javascript_source: MiB,
  python_source: MiB,
  /** Of Python, all of a block's, in base64. */
  packages: 6 * MiB,
  input: 8 * MiB,
  output: MiB,
  /** Callers, the database and JSON.stringify itself recurse over an answer. */
  output_depth: 128,
  log: 256 * KiB,
  log_message: 16 * KiB,
  error_message: 2 * KiB,
  error_stack: 4 * KiB,
  error_details: 20,
  host_argument: MiB,
  host_method: 128,
  host_calls: 1000,
  host_calls_pending: 64,
  /** Of all calls to the host and their answers. */
  host_crossing: 64 * MiB,
  timers: 10_000,
  timers_pending: 1000,
  timeout_ms_max: 300_000,
  /** For the top level alone, when a block is published. Python's imports take their time. */
  check_ms: { javascript: 1000, typescript: 1000, python: 5000 },
  memory_mb_min: 16,
  memory_mb_max: 512,
  /** All that one worker process may allocate, its guests and itself. */
  worker_memory_mb: 2048,
  /** A line from a worker holds one output or one host call with its log: more is a worker that is no longer ours. */
  line_from_worker: 4 * MiB,
  /** Nothing that is well is written to the error stream. */
  trouble_from_worker: MiB,
} as const

/** How runs share the workers. */
export const sharing = {
  /** Runs one worker holds at a time: one computes, the others wait for the host. */
  runs_per_worker: 32,
  /** What the waiting ones may keep in memory before a worker takes no more. */
  held_mb_per_worker: 512,
  held_mb_per_tenant: 256,
  /** Short runs that may stand in one worker's pipe, so that it never idles for a round trip. */
  pipeline: 8,
  /** A step that has lasted this long lets nobody stand behind it. */
  long_step_ms: 10,
  /** A tenant is known for short runs after a few, all in all this short. */
  quick_run_ms: 5,
  quick_after: 3,
  /** A tenant whose runs compute longer than this on average leaves one worker to the others. */
  heavy_run_ms: 20,
  /** When long runs have had the workers for this long and somebody waits, one more is started, up to twice the pool. */
  crowded_ms: 50,
  sweep_ms: 5,
  queue: 4000,
  queue_per_tenant: 1000,
  /** How much of what a tenant may have at a time can be taken by runs that lie so deep at most: of those that other
   *  code waits for, some can always go on. */
  lanes: [0.75, 0.94, 0.97, 1],
  /** Inputs and sources that wait, in characters. */
  queue_size: 128 * MiB,
  /** A run whose worker is lost this often while it computes is what loses them. */
  losses: 3,
} as const

/** How long the other side gets beyond a run's deadline. */
export const grace = {
  /** A built-in that polls no interrupt is ended from outside, with its process. */
  watchdog_ms: 200,
  /** One that was called off is asked first. */
  cancel_ms: 1000,
  boot_ms: 30_000,
  boots: 3,
  /** Between two attempts to start a worker where none could be started. */
  down_ms: 30_000,
  /** A server that has just started has better things to do. */
  warm_up_ms: 1000,
  /** Who has waited this long for a run is no longer needed. */
  idle_worker_ms: 60_000,
} as const

/** What a worker keeps between calls. */
export const keeping = {
  /** In characters, each source counting for a little more than it has: their number is bounded too. */
  sources_size: 8 * MiB,
  source_overhead: 64 * KiB,
  /** Templates, in bytes, beyond the bare machine's. A larger one is made anew for every call. */
  templates_bytes: 32 * MiB,
  template_bytes_max: 2 * MiB,
  /** What a run may allocate before its memory grows. More of it costs every call the time to wipe it. */
  room_bytes: 256 * KiB,
  /** Linear memory never shrinks: a machine that grew past this is thrown away. */
  machine_bytes: 16 * MiB,
  /** Thrown away before the garbage is collected. */
  discarded_bytes: 64 * MiB,
  /** Native stack a guest may use, of the binary's 1 MiB. */
  stack_bytes: 256 * KiB,
  /** Machines made before they are asked for. */
  spare_machines: 2,
  /** The same of Python, whose bare machine has 14 MiB. Modules that a block imports are part of its template. */
  python: {
    templates_bytes: 64 * MiB,
    template_bytes_max: 8 * MiB,
    machine_bytes: 40 * MiB,
    spare_machines_max: 2,
  },
} as const
