/** What libpg-query itself is built on: a factory of copies of the parser. Its own module keeps one copy for ever. */
declare module 'libpg-query/wasm/libpg-query.js' {
  /** libpg_query's C interface, compiled to WebAssembly (its `wasm_wrapper.c`). */
  export interface Module {
    readonly HEAPU8: Uint8Array;
    _malloc(size: number): number;
    _free(pointer: number): void;
    _wasm_parse_query_raw(text: number): number;
    _wasm_free_parse_result(result: number): void;
    _wasm_normalize_query(text: number): number;
    _wasm_scan(text: number): number;
    _wasm_free_string(text: number): void;
    lengthBytesUTF8(text: string): number;
    stringToUTF8(text: string, pointer: number, size: number): void;
    UTF8ToString(pointer: number): string;
    getValue(pointer: number, type: 'i32'): number;
  }

  export default function createModule(options: { printErr(line: string): void }): Promise<Module>;
}
