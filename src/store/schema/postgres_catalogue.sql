-- Everything that decides which rows a query of the ledger finds, one line an object.
WITH ledger AS (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relnamespace,
           n.nspname, c.reltype
    FROM unnest(ARRAY['entry', 'head', 'disclosure', 'projection', 'projection_row', 'migration', 'events']) AS name
    JOIN pg_class c ON c.oid = to_regclass(name) JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT 'relation ' || relname AS object,
       format('%s %s%s%s%s%s', relkind, relpersistence,
              CASE WHEN relrowsecurity OR relforcerowsecurity THEN ' row security' END,
              CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE oid IN (inhrelid, inhparent)) THEN ' inheritance' END,
              CASE WHEN relnamespace <> (SELECT relnamespace FROM ledger WHERE relname = 'entry') THEN ' elsewhere' END,
              CASE WHEN relkind = 'v' THEN ' ' || replace(regexp_replace(pg_get_viewdef(oid), '\s+', ' ', 'g'), 'entry.', '') END) AS definition
FROM ledger
UNION ALL
SELECT format('column %s.%s', relname, attname),
       format('%s%s%s%s%s', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' END,
              ' ' || collname, ' default ' || pg_get_expr(adbin, adrelid),
              CASE WHEN attidentity <> '' OR attgenerated <> '' THEN ' generated' END)
FROM ledger JOIN pg_attribute a ON attrelid = ledger.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_collation co ON co.oid = attcollation
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT format('constraint %s.%s', relname, conname),
       pg_get_constraintdef(co.oid) || CASE WHEN convalidated THEN '' ELSE ' not validated' END
FROM ledger JOIN pg_constraint co ON conrelid = ledger.oid WHERE contype <> 'n'
UNION ALL
SELECT format('index %s.%s', ledger.relname, ic.relname),
       replace(replace(pg_get_indexdef(indexrelid), quote_ident(nspname) || '.', ''), 'ON ONLY ', 'ON ')
       || CASE WHEN indisvalid AND indisready AND indislive AND indimmediate THEN '' ELSE ' not in use' END
FROM ledger JOIN pg_index ON indrelid = ledger.oid JOIN pg_class ic ON ic.oid = indexrelid
UNION ALL
SELECT format('trigger %s.%s', relname, tgname), pg_get_triggerdef(tg.oid)
FROM ledger JOIN pg_trigger tg ON tgrelid = ledger.oid WHERE NOT (tgisinternal AND tgconstraint <> 0 AND tgfoid < 16384)
UNION ALL
SELECT format('cast %s as %s', format_type(castsource, NULL), format_type(casttarget, NULL)), castfunc::regprocedure::text
FROM pg_cast WHERE oid >= 16384 AND castsource < 16384 AND casttarget < 16384
UNION ALL
SELECT format('rule %s.%s', relname, rulename), pg_get_ruledef(r.oid)
FROM ledger JOIN pg_rewrite r ON ev_class = ledger.oid WHERE NOT (relkind = 'v' AND rulename = '_RETURN')
UNION ALL
SELECT format('policy %s.%s', relname, polname), coalesce(pg_get_expr(polqual, polrelid), 'all')
FROM ledger JOIN pg_policy ON polrelid = ledger.oid
ORDER BY 1
