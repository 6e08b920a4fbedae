/** Personal data by its form: patterns, and checksums where the form has one, so that what only looks like it is left
 *  alone. A number of a card passes Luhn's check and begins as an issuer's does; an IBAN passes mod 97 and is as long as
 *  its country has it.
 *
 *  A text is cut where none of these can go on (segments.ts); here is what is found in one segment. */

import { isIPv4, isIPv6 } from 'node:net'
import type { PiiKind } from '@flow/contract/gateway-routes'

export type Hit = { start: number; end: number; kind: PiiKind }

/** What is found, in order and without overlaps: what begins first counts, and of those the longest. */
export function piiIn(text: string, kinds: ReadonlySet<PiiKind>): Hit[] {
  const hits: Hit[] = []
  // Most words are none of these.
  if (text.length < 16 && !/[\d@]/.test(text)) return hits
  for (const kind of kinds) for (const [start, end] of finders[kind](text)) hits.push({ start, end, kind })
  hits.sort((a, b) => a.start - b.start || b.end - a.end)
  let end = 0
  return hits.filter((hit) => {
    if (hit.start < end) return false
    end = hit.end
    return true
  })
}

type Found = [start: number, end: number]

const finders: Record<PiiKind, (text: string) => Found[]> = {
  email: (text) => (text.includes('@') ? emails(text) : []),
  phone: (text) => (text.length < 8 ? [] : phones(text)),
  credit_card: (text) => (text.length < 13 ? [] : cards(text)),
  iban: (text) => (text.length < 15 ? [] : ibans(text)),
  us_ssn: (text) => (text.length < 11 ? [] : among(text, SSN)),
  ip_address: (text) => (text.length < 7 ? [] : addresses(text)),
  api_key: (text) => (text.length < 16 ? [] : among(text, API_KEY)),
}

const among = (text: string, pattern: RegExp): Found[] =>
  [...text.matchAll(pattern)].map(({ index, 0: found }) => [index, index + found.length])

const LETTER = 'A-Za-z\\u00C0-\\u024F\\d'
const EMAIL = new RegExp(
  `(?<![${LETTER}._%+-])[${LETTER}_%+-][${LETTER}._%+-]{0,63}@` +
    `(?:[${LETTER}](?:[${LETTER}-]{0,61}[${LETTER}])?\\.){1,8}[A-Za-z]{2,24}(?![${LETTER}-])`,
  'g',
)
const emails = (text: string) => among(text, EMAIL)

/** With a country code; or as North America writes them, with separators. */
const PHONE =
  /(?<![\w+.-])(?:\+[1-9]\d{0,2}(?:[ .-]?(?:\(\d{1,5}\)|\d{1,14})){1,7}|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4})(?![\w-])/g
const phones = (text: string): Found[] =>
  among(text, PHONE).filter(([start, end]) => {
    const digits = text.slice(start, end).replace(/\D/g, '').length
    return digits >= 8 && digits <= 15
  })

/** The numbers that are never given out are none: 000, 666 and 9xx; group 00; serial 0000. */
const SSN = /(?<![\w-])(?!000|666|9)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])/g

/** In one piece, or in the groups that are printed on cards. */
const CARD =
  /(?<![\w-]|\d\.)(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})(?![\w-]|\.\d)/g
/** Issuers begin so: American Express, Diners, JCB, Visa, Mastercard, Maestro, Discover, UnionPay. */
const ISSUERS: [RegExp, number[]][] = [
  [/^3[47]/, [15]],
  [/^3(?:0[0-5]|[689])/, [14, 15, 16, 17, 18, 19]],
  [/^35(?:2[89]|[3-8]\d)/, [16, 17, 18, 19]],
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)/, [16]],
  [/^(?:50|5[6-9]|6)/, [13, 14, 15, 16, 17, 18, 19]],
]
const cards = (text: string): Found[] =>
  among(text, CARD).filter(([start, end]) => {
    const digits = text.slice(start, end).replace(/\D/g, '')
    return ISSUERS.some(([begins, lengths]) => begins.test(digits) && lengths.includes(digits.length)) && luhn(digits)
  })

/** https://www.iso.org/standard/70484.html, annex B. */
export function luhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i += 1) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48
    const doubled = i % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/** How long an IBAN is, by country. */
const IBAN_LENGTHS = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 ' +
    'FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 ' +
    'LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18 ' +
    'SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20'
  )
    .split(' ')
    .map((entry): [string, number] => [entry.slice(0, 2), Number(entry.slice(2))]),
)
const IBAN_BEGINS = /(?<![\w-])([A-Z]{2})\d{2}(?= ?[A-Z\d])/g

function ibans(text: string): Found[] {
  return [...text.matchAll(IBAN_BEGINS)].flatMap(({ index, 1: country = '' }): Found[] => {
    const end = endOfAlphanumerics(text, index, IBAN_LENGTHS.get(country) ?? 0)
    if (end === undefined || /[\w-]/.test(text[end] ?? '')) return []
    return mod97(text.slice(index, end).replaceAll(' ', '')) === 1 ? [[index, end]] : []
  })
}

/** Behind so many letters and digits, with single spaces between them. */
function endOfAlphanumerics(text: string, from: number, count: number): number | undefined {
  let at = from
  for (let left = count; left > 0; left -= 1) {
    if (text[at] === ' ') at += 1
    if (!/[A-Z\d]/.test(text[at] ?? '')) return undefined
    at += 1
  }
  return count > 0 ? at : undefined
}

/** ISO 7064, as ISO 13616 has it for IBANs: the first four characters go to the end, letters count from 10. */
export function mod97(iban: string): number {
  let rest = 0
  for (const letter of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(letter, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest
}

const ADDRESS_4 = /(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)/g
const ADDRESS_6 = /(?<![\w.:-])[\dA-Fa-f:]{7,}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:-]|\.\d)/g
/** Words with colons between them are rather names in code: an address has a digit. */
const addresses = (text: string): Found[] => [
  ...among(text, ADDRESS_4).filter(([start, end]) => isIPv4(text.slice(start, end))),
  ...(text.includes(':') ? among(text, ADDRESS_6) : []).filter(([start, end]) => {
    const found = text.slice(start, end)
    return /\d/.test(found) && isIPv6(found)
  }),
]

/** Keys that say by their beginning whose they are: Flow, OpenAI and Anthropic, Stripe, GitHub, GitLab, Slack, AWS,
 *  Google, Hugging Face, npm, SendGrid. */
const API_KEY = new RegExp(
  `(?<![\\w-])(?:${[
    'fl_[A-Za-z0-9_-]{20,}',
    'sk-(?:[a-z0-9]+-){0,3}[A-Za-z0-9_-]{20,}',
    '(?:sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}',
    'gh[oprsu]_[A-Za-z0-9]{36,}',
    'github_pat_[A-Za-z0-9_]{36,}',
    'glpat-[A-Za-z0-9_-]{20,}',
    'xox[abeoprs]-[A-Za-z0-9-]{10,}',
    '(?:AKIA|ASIA)[A-Z2-7]{16}',
    'AIza[A-Za-z0-9_-]{35}',
    'hf_[A-Za-z0-9]{30,}',
    'npm_[A-Za-z0-9]{36}',
    'SG\\.[A-Za-z0-9_-]{16,}\\.[A-Za-z0-9_-]{16,}',
  ].join('|')})(?![\\w-])`,
  'g',
)
