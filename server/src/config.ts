/** The settings, read once at the start from the environment. The only reader of `process.env`. Each is checked;
 *  a start with bad settings is refused with every one of them named. */

import { resolve } from 'node:path'
import { z } from 'zod'

const flag = z.enum(['0', '1', 'true', 'false']).transform((value) => value === '1' || value === 'true')
const list = z.string().transform((value) =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
)
const readable = (value: string) => (/%(?![0-9a-f]{2})/i.test(value) ? value : decodeURIComponent(value))
/** `name=value`, with commas between; values as in a URL. */
const pairs = list.transform((parts, { addIssue }) => {
  const entries = parts.map((part) => /^([\w-]+)=(.*)$/.exec(part))
  if (entries.some((entry) => entry === null)) addIssue('Write name=value, with commas between.')
  return Object.fromEntries(entries.map((entry) => [entry?.[1] ?? '', readable(entry?.[2] ?? '')]))
})

const Environment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  FLOW_HOST: z.string().default('127.0.0.1'),
  FLOW_PUBLIC_URL: z.url().optional(),
  FLOW_DATA_DIR: z.string().default('./.flow'),
  FLOW_DURABILITY: z.enum(['fsync', 'process']).default('fsync'),
  DATABASE_URL: z.string().optional(),
  FLOW_DATABASE_POOL: z.coerce.number().int().min(4).max(200).default(16),
  FLOW_MASTER_KEY: z.string().optional(),
  FLOW_ADMIN_EMAIL: z.email().optional(),
  FLOW_ADMIN_PASSWORD: z.string().min(10).max(1024).optional(),
  FLOW_ORGANIZATION: z.string().min(3).max(200).default('My organization'),
  FLOW_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  FLOW_CORS_ORIGINS: list.default([]),
  FLOW_TRUST_PROXY: flag.default(false),
  FLOW_METRICS_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  FLOW_METRICS_TOKEN: z.string().min(16).optional(),
  FLOW_RATE_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(6000),
  FLOW_SIGN_IN_LIMIT_PER_MINUTE: z.coerce.number().int().min(1).default(30),
  FLOW_EXECUTION_RETENTION_DAYS: z.coerce.number().int().min(0).max(3650).default(90),
  FLOW_ALLOWED_HOSTS: list.default([]),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
  OTEL_EXPORTER_OTLP_HEADERS: pairs.default({}),
  FLOW_SMTP_URL: z.url().optional(),
  FLOW_MAIL_FROM: z.string().default('Flow <flow@localhost>'),
  FLOW_SANDBOX_WORKERS: z.coerce.number().int().min(1).max(64).optional(),
  FLOW_SANDBOX_RUNS_PER_WORKSPACE: z.coerce.number().int().min(1).max(10_000).optional(),
  FLOW_SANDBOX_FLOOR: z.enum(['process', 'seccomp', 'bubblewrap']).default('process'),
  FLOW_PYTHON_PACKAGES: z.string().optional(),
})

/** Their names: each stands in the table of README.md. */
export const settings = Object.keys(Environment.shape)

export type Config = {
  port: number
  host: string
  /** Where people and clients reach Flow, without a slash at the end. */
  public_url: string
  data_directory: string
  durability: 'fsync' | 'process'
  database_url?: string
  database_pool: number
  master_key?: string
  admin_email?: string
  admin_password?: string
  organization_name: string
  log_level: string
  cors_origins: string[]
  trust_proxy: boolean
  metrics_port?: number
  metrics_token?: string
  rate_limit_per_minute: number
  /** Tries to sign in from one address. */
  sign_in_limit_per_minute: number
  /** How long executions are kept whose workflow says nothing of it; 0: for good. */
  execution_retention_days: number
  /** Hosts inside the network that outgoing calls may reach all the same. */
  allowed_hosts: string[]
  /** Where traces go by OTLP over HTTP, without the path. */
  otlp_endpoint?: string
  otlp_headers: Record<string, string>
  smtp_url?: string
  mail_from: string
  sandbox_workers?: number
  /** Runs of code of one workspace that are at work at a time, in this process. */
  sandbox_runs_per_workspace?: number
  sandbox_floor: 'process' | 'seccomp' | 'bubblewrap'
  /** The folder of wheels that Python's code may use. */
  python_packages?: string
}

export class BadConfig extends Error {}

/** Reads and checks the settings. Throws `BadConfig` with a sentence for each that is wrong. */
export function readConfig(environment: Record<string, string | undefined> = process.env): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const { data: env, error } = Environment.safeParse(given)
  if (error) throw new BadConfig(error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'))
  if (env.DATABASE_URL && !env.FLOW_MASTER_KEY) {
    throw new BadConfig(
      'FLOW_MASTER_KEY: with DATABASE_URL set, give the key that seals secrets: 32 random bytes in base64 ' +
        '(for example from `openssl rand -base64 32`), the same for every replica.',
    )
  }

  return {
    port: env.PORT,
    host: env.FLOW_HOST,
    public_url: (env.FLOW_PUBLIC_URL ?? `http://localhost:${env.PORT}`).replace(/\/+$/, ''),
    data_directory: resolve(env.FLOW_DATA_DIR),
    durability: env.FLOW_DURABILITY,
    database_url: env.DATABASE_URL,
    database_pool: env.FLOW_DATABASE_POOL,
    master_key: env.FLOW_MASTER_KEY,
    admin_email: env.FLOW_ADMIN_EMAIL?.toLowerCase(),
    admin_password: env.FLOW_ADMIN_PASSWORD,
    organization_name: env.FLOW_ORGANIZATION,
    log_level: env.FLOW_LOG_LEVEL,
    cors_origins: env.FLOW_CORS_ORIGINS,
    trust_proxy: env.FLOW_TRUST_PROXY,
    metrics_port: env.FLOW_METRICS_PORT,
    metrics_token: env.FLOW_METRICS_TOKEN,
    rate_limit_per_minute: env.FLOW_RATE_LIMIT_PER_MINUTE,
    sign_in_limit_per_minute: env.FLOW_SIGN_IN_LIMIT_PER_MINUTE,
    execution_retention_days: env.FLOW_EXECUTION_RETENTION_DAYS,
    allowed_hosts: env.FLOW_ALLOWED_HOSTS,
    otlp_endpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/+$/, ''),
    otlp_headers: env.OTEL_EXPORTER_OTLP_HEADERS,
    smtp_url: env.FLOW_SMTP_URL,
    mail_from: env.FLOW_MAIL_FROM,
    sandbox_workers: env.FLOW_SANDBOX_WORKERS,
    sandbox_runs_per_workspace: env.FLOW_SANDBOX_RUNS_PER_WORKSPACE,
    sandbox_floor: env.FLOW_SANDBOX_FLOOR,
    python_packages: env.FLOW_PYTHON_PACKAGES,
  }
}
