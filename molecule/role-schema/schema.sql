CREATE TABLE builds (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number integer NOT NULL,
    status text NOT NULL DEFAULT 'new',
    owner text
);
