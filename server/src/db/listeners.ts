/** Who listens to which channel. Listeners are called after whatever is running now, so that one that throws
 *  cannot break the reading of answers. */

type Listener = { heard: (payload: string) => void; gap: () => void }

export class Listeners {
  #byChannel = new Map<string, Set<Listener>>()

  get channels(): string[] {
    return [...this.#byChannel.keys()]
  }

  /** Adds a listener and returns how to remove it; that tells whether it was the channel's last. */
  add(channel: string, heard: (payload: string) => void, gap: () => void): () => boolean {
    const listener: Listener = { heard, gap }
    const listeners = this.#byChannel.get(channel) ?? new Set()
    this.#byChannel.set(channel, listeners.add(listener))
    return () => {
      if (!listeners.delete(listener) || listeners.size > 0) return false
      return this.#byChannel.delete(channel)
    }
  }

  notified(channel: string, payload: string): void {
    for (const { heard } of this.#byChannel.get(channel) ?? []) queueMicrotask(() => heard(payload))
  }

  /** Something may have been missed, on every channel. */
  missed(): void {
    for (const listeners of this.#byChannel.values()) for (const { gap } of listeners) queueMicrotask(gap)
  }
}

/** A channel's name as it is written in `listen`. Names keep their case, as `pg_notify` takes them. */
export const channelName = (channel: string) => `"${channel.replaceAll('"', '""')}"`
