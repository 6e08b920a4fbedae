/** The part of WebAssembly's JavaScript interface that the worker uses: TypeScript has it only among the browser's. */
declare namespace WebAssembly {
  interface Module {
    readonly [Symbol.toStringTag]: 'WebAssembly.Module'
  }
  interface Memory {
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
}
declare const WebAssembly: { compile(bytes: Uint8Array): Promise<WebAssembly.Module> }
