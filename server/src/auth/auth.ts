/** The door of sign-in and access: who asks, what they may, and how they came in. Passwords, keys, tokens, single
 *  sign-on and the browser login of the CLI each have their file; every function of the contract stands here. */

export type { ApiKey, KeyKind, KeyList, NewKey } from './keys.ts'
export { findKey, isKeyText, listKeys, mintKey, revokeKey } from './keys.ts'
export { may, permissionsAt } from './rules.ts'
export { jwks, rotateSigningKey } from './tokens.ts'
export { authenticate } from './who.ts'
