/** The part of DBOS that the bench uses: it is installed only when it is measured. */
declare module '@dbos-inc/dbos-sdk' {
  type Config = { name: string; systemDatabaseUrl: string; systemDatabasePoolSize: number; logLevel: string }

  export const DBOS: {
    setConfig(config: Config): void
    launch(): Promise<void>
    shutdown(): Promise<void>
    registerWorkflow<Args extends unknown[], Result>(
      work: (...args: Args) => Promise<Result>,
      options: { name: string },
    ): (...args: Args) => Promise<Result>
    runStep<Result>(work: () => Promise<Result>, options: { name: string }): Promise<Result>
  }
}
