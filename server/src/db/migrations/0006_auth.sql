-- How people and programs prove who they are: keys, sign-ins, single sign-on, the browser login of the CLI.
-- No secret stands here in the clear: what only has to be recognised is a SHA-256 or a keyed digest of it, what has
-- to be used again is sealed. Everything that expires is swept.

-- A table of the platform itself: no organization's session sees anything of it.
create function flow_platform_only(name regclass) returns void language plpgsql as $$
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy platform on %s using (current_setting(''app.org'', true) = ''*'')', name);
end $$;

create table api_keys (
  id uuid primary key,
  organization_id uuid not null references organizations on delete cascade,
  -- The one workspace the key is bound to; null: wherever its maker may.
  workspace_id uuid references workspaces on delete cascade,
  kind text not null check (kind in ('standard', 'service', 'deployment')),
  name text not null,
  prefix text not null,
  last_four text not null,
  hash bytea not null unique,
  -- What the key is narrowed to; empty: all that its maker may.
  scopes text[] not null default '{}',
  created_by uuid not null references users,
  expires_at timestamptz,
  -- Written at most once a minute.
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null
);
create index api_keys_listed on api_keys (organization_id, created_at desc, id) where revoked_at is null;
select flow_tenant('api_keys');

-- One sign-in. Ended: its access tokens are refused from then on, and its refresh tokens are worth nothing.
create table sessions (
  id uuid primary key,
  -- Where the sign-in took place; an access token names the organization it is for.
  organization_id uuid not null references organizations on delete cascade,
  user_id uuid not null references users on delete cascade,
  method text not null check (method in ('password', 'sso', 'cli', 'api_key')),
  -- The key that was exchanged: the session may no more than it, and ends with it.
  api_key_id uuid references api_keys on delete cascade,
  -- Vouched for by one organization's identity provider: worth nothing in another organization.
  is_bound boolean not null,
  address text not null,
  -- The address, or the /64 of IPv6 that it is of.
  network text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz
);
create index sessions_by_user on sessions (user_id, created_at);
create index sessions_by_age on sessions (expires_at);
select flow_tenant('sessions');

-- The tokens of a sign-in, the used ones too: a used one that comes again was stolen, or its successor was.
create table refresh_tokens (
  hash bytea primary key,
  session_id uuid not null references sessions on delete cascade,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index refresh_tokens_by_session on refresh_tokens (session_id);
select flow_platform_only('refresh_tokens');

-- The keys that sign access tokens. One signs; those before it stay until the last token they signed has expired.
create table signing_keys (
  id text primary key,
  public_jwk jsonb not null,
  private_sealed text not null,
  created_at timestamptz not null,
  -- Until when it verifies; null: it signs.
  retires_at timestamptz
);
create unique index signing_keys_current on signing_keys ((true)) where retires_at is null;
select flow_platform_only('signing_keys');

-- Failed sign-ins by account, address and both; the subject is a keyed digest.
create table sign_in_failures (
  subject bytea primary key,
  failures integer not null,
  -- The next attempt is not looked at before.
  open_at timestamptz not null,
  forgotten_at timestamptz not null
);
create index sign_in_failures_by_age on sign_in_failures (forgotten_at);
select flow_platform_only('sign_in_failures');

create table sso_settings (
  organization_id uuid primary key references organizations on delete cascade,
  issuer text not null,
  client_id text not null,
  client_secret_sealed text not null,
  default_role text not null
    check (default_role in ('solution_builder', 'viewer', 'billing_manager', 'security_auditor')),
  created_at timestamptz not null,
  updated_at timestamptz not null
);
select flow_tenant('sso_settings');

-- A domain belongs to one organization of the platform: an address leads to one identity provider.
create table sso_domains (
  domain text primary key check (domain = lower(domain)),
  organization_id uuid not null references sso_settings on delete cascade
);
create index sso_domains_by_organization on sso_domains (organization_id);
select flow_tenant('sso_domains');

-- Whom an organization's identity provider knows a member as.
create table sso_identities (
  organization_id uuid not null,
  issuer text not null,
  subject text not null,
  user_id uuid not null,
  -- The membership began with this identity: the account's password, whoever set it, does not open it.
  began_membership boolean not null,
  created_at timestamptz not null,
  primary key (organization_id, issuer, subject),
  foreign key (organization_id, user_id) references memberships on delete cascade
);
create index sso_identities_by_user on sso_identities (user_id);
select flow_tenant('sso_identities');

-- A sign-in on its way to the identity provider and back; taken once.
create table sso_requests (
  state_hash bytea primary key,
  organization_id uuid not null references sso_settings on delete cascade,
  issuer text not null,
  -- Nonce and PKCE verifier.
  checks_sealed text not null,
  redirect_uri text,
  expires_at timestamptz not null
);
create index sso_requests_by_age on sso_requests (expires_at);
select flow_tenant('sso_requests');

-- What a redirect carries instead of tokens; taken once.
create table sso_codes (
  hash bytea primary key,
  state_hash bytea not null,
  organization_id uuid not null references organizations on delete cascade,
  user_id uuid not null references users on delete cascade,
  expires_at timestamptz not null
);
create index sso_codes_by_age on sso_codes (expires_at);
select flow_tenant('sso_codes');

-- A command line that waits for a person to sign it in (the device flow of RFC 8628).
create table cli_login_requests (
  id uuid primary key,
  -- A keyed digest: a code that people type is short.
  user_code_hash bytea not null unique,
  secret_hash bytea not null,
  client_name text not null,
  address text not null,
  status text not null default 'pending' check (status in ('pending', 'approved', 'denied')),
  -- Who approved it, for which organization.
  user_id uuid references users on delete cascade,
  organization_id uuid references organizations on delete cascade,
  is_bound boolean,
  interval_seconds integer not null,
  polled_at timestamptz,
  expires_at timestamptz not null,
  created_at timestamptz not null
);
create index cli_login_requests_by_age on cli_login_requests (expires_at);
select flow_tenant('cli_login_requests');
