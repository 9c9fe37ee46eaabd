-- Asked only where the caller of the walk wants to know what the next start would meet. Three queries, each sent by itself:
-- a view that is refused, or a file that cannot be opened, then takes nothing else with it.
--
-- What the role may see, and the base backups.
SELECT 'may', ROW(
  pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE'),
  pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE'))::pg_catalog.text
{BACKUPS};
-- Lines of pg_hba.conf that cannot be read, and how many there are in all: a file without any rule ends a start as well.
SELECT 'hba', ROW({HBA_FILE}, line_number, error)::pg_catalog.text
FROM pg_catalog.pg_hba_file_rules() WHERE error IS NOT NULL
UNION ALL
SELECT 'rules', ROW(pg_catalog.count(*))::pg_catalog.text FROM pg_catalog.pg_hba_file_rules();
-- The view reads the files anew and marks in this session what waits for a restart: such a setting "could not be applied"
-- and is none the worse for it. pending_restart comes second for that reason.
SELECT 'setting', ROW(sourcefile, sourceline, name, error)::pg_catalog.text
FROM pg_catalog.pg_show_all_file_settings() WHERE error IS NOT NULL
UNION ALL
SELECT 'pending', ROW(name)::pg_catalog.text FROM pg_catalog.pg_show_all_settings() WHERE pending_restart;
