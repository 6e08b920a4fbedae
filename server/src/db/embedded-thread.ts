/** The main thread's end of the embedded database's thread: starts it, wakes it, hears its answers, ends it. */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { Close, WorkerInput, WorkerWord } from './embedded-worker.ts'
import { DatabaseRefused } from './faults.ts'

export type ThreadEvents = {
  answered: (bytes: Buffer) => void
  /** It ended without having been asked to. */
  lost: (reason: string) => void
}

export class Thread {
  #worker: Worker
  #port: MessagePort
  #asked: Int32Array
  #hasEnded: Promise<void>
  #isEnding = false

  static start(options: Pick<WorkerInput, 'directory' | 'durability'>, events: ThreadEvents): Promise<Thread> {
    return new Promise((resolve, reject) => {
      const thread = new Thread(options, {
        ready: () => resolve(thread),
        refused: (message) => reject(new DatabaseRefused(message)),
        answered: events.answered,
        lost: (reason) => {
          reject(new DatabaseRefused(reason))
          events.lost(reason)
        },
      })
    })
  }

  private constructor(
    options: Pick<WorkerInput, 'directory' | 'durability'>,
    events: ThreadEvents & { ready: () => void; refused: (message: string) => void },
  ) {
    const { port1, port2 } = new MessageChannel()
    const signal = new SharedArrayBuffer(4)
    const input: WorkerInput = { ...options, signal, port: port2 }
    this.#asked = new Int32Array(signal)
    this.#port = port1
    this.#worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
      workerData: input,
      transferList: [port2],
    })

    let reason = 'The thread of the embedded database ended.'
    const hear = (message: Uint8Array | WorkerWord) => {
      if (message instanceof Uint8Array) {
        return events.answered(Buffer.from(message.buffer, message.byteOffset, message.byteLength))
      }
      if (message.word === 'ready') return events.ready()
      if (message.word === 'refused') {
        reason = message.message
        events.refused(reason)
      }
    }
    this.#port.on('message', hear)
    this.#worker.on('error', (error) => {
      reason = `The embedded database broke: ${error instanceof Error ? error.message : error}`
    })
    this.#hasEnded = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        // Its last words may not have been heard yet.
        for (let last = receiveMessageOnPort(port1); last; last = receiveMessageOnPort(port1)) hear(last.message)
        this.#port.close()
        resolve()
        if (!this.#isEnding) events.lost(reason)
      })
    })
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#port.postMessage(bytes, [bytes.buffer])
    this.#wake()
  }

  /** Lets it finish what it was sent, write a last checkpoint and close its files. */
  async close(): Promise<void> {
    this.#isEnding = true
    this.#port.postMessage('close' satisfies Close)
    this.#wake()
    await this.#hasEnded
  }

  /** Stops it wherever it is, as a crash would; the log brings back what was committed. */
  async kill(): Promise<void> {
    this.#isEnding = true
    await this.#worker.terminate()
    await this.#hasEnded
  }

  #wake(): void {
    Atomics.add(this.#asked, 0, 1)
    Atomics.notify(this.#asked, 0)
  }
}
