/** Personal data by its form: patterns, and checksums where the form has one, so that what only looks like it is left
 *  alone. A number of a card passes Luhn's check and begins as an issuer's does; an IBAN passes mod 97 and is as long as
 *  its country has it.
 *
 *  A text is cut where none of these can go on (pii-reader.ts); here is what is found between two cuts. */

import { isIPv4, isIPv6 } from 'node:net'
import type { PiiKind } from '@flow/contract/gateway-routes'

export type Hit = { start: number; end: number; kind: PiiKind }

/** What begins there or behind, in order and without overlaps: what begins first counts, and of those the longest. */
export function piiIn(text: string, kinds: ReadonlySet<PiiKind>, from = 0): Hit[] {
  const hits: Hit[] = []
  // Most words are none of these.
  if (text.length < 16 && !/[\d@]/.test(text)) return hits
  for (const kind of kinds) for (const [start, end] of finders[kind](text, from)) hits.push({ start, end, kind })
  hits.sort((a, b) => a.start - b.start || b.end - a.end)
  let end = 0
  return hits.filter((hit) => {
    if (hit.start < end) return false
    end = hit.end
    return true
  })
}

type Found = [start: number, end: number]

const finders: Record<PiiKind, (text: string, from: number) => Found[]> = {
  email: (text, from) => (text.includes('@') ? among(text, EMAIL, from) : []),
  phone: (text, from) => (text.length < 8 ? [] : phones(text, from)),
  credit_card: (text, from) => (text.length < 13 ? [] : cards(text, from)),
  iban: (text, from) => (text.length < 15 ? [] : ibans(text, from)),
  us_ssn: (text, from) => (text.length < 11 ? [] : among(text, SSN, from)),
  ip_address: (text, from) => (text.length < 7 ? [] : addresses(text, from)),
  api_key: (text, from) => (text.length < 16 ? [] : among(text, API_KEY, from)),
}

/** Where the pattern begins, and where what begins there ends; where that is nowhere, the next beginning is tried. What a
 *  beginning is followed by is short, so that a long row of them is no trouble. */
function found(
  text: string,
  pattern: RegExp,
  from: number,
  endOf: (begin: RegExpExecArray) => number | undefined,
): Found[] {
  const all: Found[] = []
  pattern.lastIndex = from
  for (;;) {
    const begin = pattern.exec(text)
    if (!begin) return all
    const end = endOf(begin)
    if (end !== undefined) all.push([begin.index, end])
    pattern.lastIndex = end ?? begin.index + 1
  }
}

const among = (text: string, pattern: RegExp, from: number): Found[] =>
  found(text, pattern, from, ({ index, 0: { length } }) => index + length)

/** The first of these forms that stands there and is a number as it must be. */
function endOfForm(text: string, at: number, forms: readonly RegExp[], isOne: (digits: string) => boolean) {
  for (const form of forms) {
    form.lastIndex = at
    const one = form.exec(text)?.[0]
    if (one !== undefined && isOne(one.replace(/\D/g, ''))) return at + one.length
  }
  return undefined
}

/** A top-level domain has no hyphen: one behind it is a dash. */
const LETTER = 'A-Za-z\\u00C0-\\u024F\\d'
const EMAIL = new RegExp(
  `(?<![${LETTER}_%+-]|[${LETTER}_%+-]\\.)[${LETTER}_%+-][${LETTER}._%+-]{0,63}@` +
    `(?:[${LETTER}](?:[${LETTER}-]{0,61}[${LETTER}])?\\.){1,8}[A-Za-z]{2,24}(?![${LETTER}])`,
  'g',
)

/** With a country code; or as North America writes them, with separators. What goes on behind a number that is long enough
 *  is another number, so fewer groups are tried, too. */
const PHONE_BEGINS = /(?<![\w+]|\w[.-])\+[1-9]|(?<![\w+.-])[(2-9]|(?<![\w+.-])1[ .-]/g
const GROUP = String.raw`(?:[ .-]\d{1,14}|[ .-]?\(\d{1,5}\)\d{0,14})`
const PHONE_FORMS = [
  /\+1[ .-]?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-]?)[2-9]\d\d[ .-]?\d{4}(?!\w)/y,
  ...[7, 6, 5, 4, 3, 2, 1, 0].map((groups) => new RegExp(`\\+[1-9]\\d{0,14}${GROUP}{${groups}}(?!\\w)`, 'y')),
  /(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?!\w|-\w)/y,
]
const isPhone = ({ length }: string) => length >= 8 && length <= 15
const phones = (text: string, from: number): Found[] =>
  found(text, PHONE_BEGINS, from, ({ index }) => endOfForm(text, index, PHONE_FORMS, isPhone))

/** The numbers that are never given out are none: 000, 666 and 9xx; group 00; serial 0000. */
const SSN = /(?<!\w|\w-)(?!000|666|9)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?!\w|-\w)/g

/** In one piece, or in the groups that are printed on cards. Behind them may stand other numbers, such as a date. */
const CARD_BEGINS = /(?<!\w|\w-|\d\.)\d{4}/g
const CARD_FORMS = [
  /\d{13,19}(?!\w|-\w|\.\d)/y,
  /\d{4}([ -])\d{4}\1\d{4}\1\d{4}\1\d{1,3}(?!\w|-\w|\.\d)/y,
  /\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?!\w|-[A-Za-z_]|\.\d)/y,
  /\d{4}([ -])\d{6}\1\d{4,5}(?!\w|-[A-Za-z_]|\.\d)/y,
]
/** Issuers begin so: American Express, Diners, JCB, Visa, Mastercard, Maestro, Discover, UnionPay. */
const ISSUERS: [RegExp, number[]][] = [
  [/^3[47]/, [15]],
  [/^3(?:0[0-5]|[689])/, [14, 15, 16, 17, 18, 19]],
  [/^35(?:2[89]|[3-8]\d)/, [16, 17, 18, 19]],
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)/, [16]],
  [/^(?:50|5[6-9]|6)/, [13, 14, 15, 16, 17, 18, 19]],
]
const isCard = (digits: string) =>
  ISSUERS.some(([begins, lengths]) => begins.test(digits) && lengths.includes(digits.length)) && luhn(digits)
const cards = (text: string, from: number): Found[] =>
  found(text, CARD_BEGINS, from, ({ index }) => endOfForm(text, index, CARD_FORMS, isCard))

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
const IBAN_BEGINS = /(?<!\w|\w-)([A-Z]{2})\d{2}(?= ?[A-Z\d])/g

const ibans = (text: string, from: number): Found[] =>
  found(text, IBAN_BEGINS, from, ({ index, 1: country = '' }) => {
    const end = endOfAlphanumerics(text, index, IBAN_LENGTHS.get(country) ?? 0)
    if (end === undefined || /^(?:\w|-\w)/.test(text.slice(end, end + 2))) return undefined
    return mod97(text.slice(index, end).replaceAll(' ', '')) === 1 ? end : undefined
  })

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

const ADDRESS_4 = /(?<!\w|\w[.-])\d{1,3}(?:\.\d{1,3}){3}(?!\w|-\w|\.\d)/g
const ADDRESS_6 = /(?<![\w:]|\w[.-])[\dA-Fa-f:]{7,}(?:\d{1,3}(?:\.\d{1,3}){3})?(?!\w|-\w|\.\d)/g
const addresses = (text: string, from: number): Found[] => [
  ...among(text, ADDRESS_4, from).filter(([start, end]) => isIPv4(text.slice(start, end))),
  ...(text.includes(':') ? among(text, ADDRESS_6, from) : []).flatMap(([start, end]): Found[] => {
    const whole = text.slice(start, end)
    // Behind an address may stand a colon.
    const one = whole.endsWith(':') && !whole.endsWith('::') ? whole.slice(0, -1) : whole
    // Words with colons between them are rather names in code: an address has a digit.
    return /\d/.test(one) && isIPv6(one) ? [[start, start + one.length]] : []
  }),
]

/** Keys that say by their beginning whose they are: Flow, OpenAI and Anthropic, Stripe, GitHub, GitLab, Slack, AWS,
 *  Google, Hugging Face, npm, SendGrid. */
const API_KEY = new RegExp(
  `(?<!\\w|\\w-)(?:${[
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
  ].join('|')})(?!\\w)`,
  'g',
)
