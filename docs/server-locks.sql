-- Keeps Zep v0.x from leaving advisory locks behind. What these are: server-locks.md.
--
-- Run it in Zep's database as the role that Zep connects as (psql "$DSN" -f server-locks.sql).
-- The role need not be a superuser. Then restart Zep once.
--
-- The functions below take no lock. They come before PostgreSQL's own of the same names for this
-- role in this database. Other programs that connect so and need advisory locks must call
-- PostgreSQL's own by their full names, such as pg_catalog.pg_advisory_lock.
CREATE OR REPLACE FUNCTION public.pg_advisory_lock(bigint)
    RETURNS void LANGUAGE sql AS '';
CREATE OR REPLACE FUNCTION public.pg_try_advisory_lock(bigint)
    RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OR REPLACE FUNCTION public.pg_advisory_unlock(bigint)
    RETURNS boolean LANGUAGE sql AS 'SELECT true';
DO $$ BEGIN
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = public, pg_catalog',
        current_user, current_database());
END $$;

-- Undo (as the same role, then restart Zep):
--
-- DROP FUNCTION public.pg_advisory_lock(bigint), public.pg_try_advisory_lock(bigint),
--     public.pg_advisory_unlock(bigint);
-- DO $$ BEGIN
--     EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET search_path',
--         current_user, current_database());
-- END $$;

-- PostgreSQL 14 and older, and databases upgraded from it (as a superuser, with Zep's role for zep):
--
-- REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- GRANT CREATE ON SCHEMA public TO zep;
