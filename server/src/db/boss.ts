/** The database as the queue library (pg-boss) wants it. It expects what node-postgres gives by default (a Date for
 *  a timestamp), several statements in one text, and a pool: an error in one text must not touch the next. */

import type { Db as IDatabase } from 'pg-boss'
import { type Adapter, type Answer, PLATFORM, type Session } from './adapter.ts'
import type { Db } from './db.ts'

export type BossDatabase = Required<Pick<IDatabase, 'executeSql' | 'listen'>>
/** Runs the queue's statements in a transaction of ours: what it enqueues is there when, and only when, we commit. */
export type BossExecutor = Pick<IDatabase, 'executeSql'>

export function bossDatabase(adapter: Adapter): BossDatabase {
  return {
    executeSql: (text, values) => {
      if (values && values.length > 0) return adapter.once(PLATFORM, { text, values }, 'driver')
      return adapter.hold(PLATFORM, async (session) => allRows(await session.script(text, 'driver')))
    },
    async listen(channel, heard, onReconnect) {
      const close = await adapter.listen(channel, heard, onReconnect)
      // What was sent before we listened is a gap, too.
      onReconnect()
      return { close }
    },
  }
}

const sessions = new WeakMap<Db, () => Session>()

/** Remembers which session a transaction's handle speaks to; asked each time, as the transaction may have ended. */
export const bindSession = (db: Db, session: () => Session) => sessions.set(db, session)

/** For pg-boss's option `db`. The handle must be a transaction's. */
export function executor(db: Db): BossExecutor {
  const session = sessions.get(db)
  if (!session) throw new Error('a job is enqueued in a transaction: this handle is not one')
  return {
    executeSql: async (text, values) => {
      // One statement is prepared, also without parameters: the queue asks the same ones again and again.
      if (values?.length || !text.includes(';')) return session().query({ text, values: values ?? [] }, 'driver')
      return allRows(await session().script(text, 'driver'))
    },
  }
}

const allRows = (answers: Answer[]) => ({ rows: answers.flatMap(({ rows }) => rows) })
