/** The part of WebAssembly's JavaScript interface that the workers use: TypeScript has it only among the browser's. */
declare namespace WebAssembly {
  interface Module {
    readonly [Symbol.toStringTag]: 'WebAssembly.Module'
  }
  interface Memory {
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
  type ImportValue = ((...args: never[]) => unknown) | Suspending
  interface Instance {
    readonly exports: object
  }
  /** A function whose promise suspends the stack that called it. */
  interface Suspending {
    readonly [Symbol.toStringTag]: 'WebAssembly.Suspending'
  }
}
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<WebAssembly.Module>
  Module: { imports(module: WebAssembly.Module): { module: string; name: string }[] }
  Instance: new (
    module: WebAssembly.Module,
    imports: Record<string, Record<string, WebAssembly.ImportValue>>,
  ) => WebAssembly.Instance
  Suspending: new (wait: (...args: never[]) => unknown) => WebAssembly.Suspending
  promising<Args extends unknown[], Result>(run: (...args: Args) => Result): (...args: Args) => Promise<Result>
}
