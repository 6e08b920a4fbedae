/** Which organizations have listeners, as this process knows it: for those who write so often that even asking the
 *  database would be felt. A yes may be in vain, and the statement asks again. A no is as old as a notification takes:
 *  what was heard of first is known before whatever is asked for afterwards, and until everything is known, the answer
 *  is yes. */

import type { Database } from '../db/db.ts'
import { organizationsWithListeners } from './store.ts'

const CHANNEL = 'flow_interests'
/** Looked at all the same: a notification may get lost with a connection, and listeners go. */
const LOOK_MS = 5000

/** Whether somebody in the organization may be listening. */
export type Wanted = (organization_id: string) => boolean

/** What this process itself has written is known at once. */
const keptHere = new Set<string>()
export const keptInterest = (organization_id: string): void => {
  keptHere.add(organization_id)
}

const known = new WeakMap<Database, Wanted>()

export function wantedOf(database: Database): Wanted {
  const before = known.get(database)
  if (before) return before
  const wanted = follow(database)
  known.set(database, wanted)
  return wanted
}

function follow(database: Database): Wanted {
  let organizations: Set<string> | undefined
  /** Heard of while it is being read: the reading may be older. */
  let heard = new Set<string>()
  let isListening = false
  let isReading = false
  let again = false

  const look = async () => {
    again = true
    if (isReading) return
    isReading = true
    while (again) {
      again = false
      heard = new Set()
      // Without the database nothing is known, and nothing is written that could be missed.
      const rows = await organizationsWithListeners(database.platform).catch(() => undefined)
      const isKnown = rows !== undefined && isListening && !again
      organizations = isKnown ? new Set([...rows.map((row) => row.organization_id), ...heard]) : undefined
    }
    isReading = false
  }
  const hear = (organization_id: string) => {
    heard.add(organization_id)
    organizations?.add(organization_id)
  }
  const gap = () => {
    organizations = undefined
    void look()
  }
  database.listen(CHANNEL, hear, gap).then(
    () => {
      isListening = true
      void look()
      setInterval(look, LOOK_MS).unref()
    },
    // Then the answer stays yes.
    () => {},
  )
  return (id) => organizations === undefined || organizations.has(id) || keptHere.has(id)
}
