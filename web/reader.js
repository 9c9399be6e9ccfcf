/* reader.js - shows the OpenAPI document that lies beside the page.
 *
 * data-view of the body says how: "try" folds each operation and lets one send a GET, "read"
 * unfolds them all. Texts of the document and of answers go into the page as text only. The key
 * lives in its input and nowhere else. */
"use strict";

const view = document.body.dataset.view;
const methods = ["get", "post", "put", "patch", "delete"];
/* Where the API begins: the server may be mounted below a path. */
const root = location.origin + location.pathname.replace(/\/api\/(v\d+\/)?[^/]*$/, "");

function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
}

/* --- Schemas ------------------------------------------------------------------------------ */

function resolve(spec, part) {
    if (!part || !part.$ref)
        return part || {};
    return part.$ref.slice(2).split("/").reduce(
        (at, key) => at[key.replace(/~1/g, "/").replace(/~0/g, "~")], spec);
}

function typeText(spec, schema) {
    const types = [].concat(schema.type || (schema.properties ? "object" : "any"));
    return types.map((type) => {
        const item = type === "array" && resolve(spec, schema.items);
        return item && item.type ? `list of ${typeText(spec, item)}` : type;
    }).join(" or ") + (schema.format ? ` (${schema.format})` : "");
}

function bounds(schema) {
    const said = [];
    const between = (low, high, unit) => {
        if (low !== undefined || high !== undefined)
            said.push(`${low === undefined ? "" : low} to ${high === undefined ? "any" : high}${unit}`);
    };
    between(schema.minimum, schema.maximum, "");
    between(schema.minLength, schema.maxLength, " characters");
    between(schema.minItems, schema.maxItems, " items");
    if (schema.enum)
        said.push(schema.enum.filter((word) => word !== null).join(", "));
    if (schema.pattern)
        said.push(schema.pattern);
    if (schema.default !== undefined)
        said.push(`else ${JSON.stringify(schema.default)}`);
    if (schema["x-aragora-clamp"])
        said.push("cut to its bounds");
    if (schema.deprecated)
        said.push("deprecated");
    return said.join("; ");
}

function row(spec, name, schema, required, doc) {
    return element("tr", {},
        element("td", {}, name, required ? element("span", { className: "must", title: "required" }, " *") : null),
        element("td", {}, typeText(spec, schema)),
        element("td", {}, bounds(schema)),
        element("td", {}, doc || schema.description || ""));
}

/* Members of members stand below their owner, with its name in front. */
function memberRows(spec, schema, before) {
    const rows = [];
    const required = schema.required || [];
    for (const [name, part] of Object.entries(schema.properties || {})) {
        const inner = resolve(spec, part);
        const list = inner.items && resolve(spec, inner.items).properties;
        rows.push(row(spec, before + name, inner, required.includes(name)));
        rows.push(...memberRows(spec, list ? resolve(spec, inner.items) : inner,
                                `${before}${name}${list ? "[]" : ""}.`));
    }
    return rows;
}

function table(rows) {
    return element("table", {}, ...rows);
}

function contentTables(spec, content) {
    return Object.entries(content || {}).map(([type, media]) => {
        const rows = memberRows(spec, resolve(spec, media.schema), "");
        return element("div", {}, element("code", {}, type), rows.length ? table(rows) : null);
    });
}

/* --- One operation ------------------------------------------------------------------------ */

function parameterRows(spec, operation) {
    return operation.parameters.map((parameter) => {
        const schema = resolve(spec, parameter.schema);
        const shown = row(spec, parameter.name, schema, parameter.required, parameter.description);
        shown.append(element("td", {}, parameter.in));
        return shown;
    });
}

/* Where its answer came from and what it was, below the form. */
async function send(operation, form, result) {
    const values = new FormData(form);
    const query = new URLSearchParams();
    const headers = {};
    const key = document.getElementById("key").value.trim();
    let path = operation.path;
    operation.parameters.forEach((parameter, place) => {
        const value = values.get(String(place));
        if (parameter.in === "path")
            path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
        else if (parameter.in === "query" && value)
            query.append(parameter.name, value);
        else if (parameter.in === "header" && value)
            headers[parameter.name] = value;
    });
    if (key)
        headers.Authorization = `Bearer ${key}`;
    const url = root + path + (query.toString() ? `?${query}` : "");
    result.replaceChildren(element("p", {}, `GET ${url} ...`));
    try {
        const start = performance.now();
        const reply = await fetch(url, { headers });
        const text = await reply.text();
        const kind = reply.headers.get("Content-Type") || "";
        const took = Math.round(performance.now() - start);
        result.replaceChildren(
            element("p", { className: "status" }, `${reply.status} ${kind}, ${took} ms, GET ${url}`),
            element("pre", {}, kind.startsWith("application/json")
                ? JSON.stringify(JSON.parse(text), null, 2) : text));
    } catch (error) {
        result.replaceChildren(element("p", { className: "error" }, String(error)));
    }
}

function tryForm(operation) {
    const result = element("div", { className: "result" });
    const form = element("form", {});
    operation.parameters.forEach((parameter, place) => {
        const id = `${operation.id}-${place}`;
        form.append(element("label", { htmlFor: id }, parameter.name),
            element("input", { id, name: String(place), autocomplete: "off",
                               required: Boolean(parameter.required) }));
    });
    form.append(element("button", {}, "Send"));
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        send(operation, form, result);
    });
    return [element("h3", {}, "Try it"), form, result];
}

function details(spec, operation) {
    const parts = [];
    const aliases = operation["x-aragora-aliases"] || [];
    if (aliases.length)
        parts.push(element("p", {}, "Also as ", element("code", {}, aliases.join(" "))));
    if (operation.parameters.length)
        parts.push(element("h3", {}, "Parameters"), table(parameterRows(spec, operation)));
    if (operation.requestBody)
        parts.push(element("h3", {}, "Body"), ...contentTables(spec, operation.requestBody.content));
    parts.push(element("h3", {}, "Replies"));
    for (const [status, reply] of Object.entries(operation.responses))
        parts.push(element("div", {}, element("strong", {}, status), ` ${reply.description} `,
            ...(status < "400" ? contentTables(spec, reply.content) : [])));
    if (view === "try" && operation.method === "get")
        parts.push(...tryForm(operation));
    return parts;
}

function head(operation, kind) {
    const rights = operation.security.length === 0 ? "public"
        : operation["x-aragora-permission"] || "signed in";
    return element(kind, { className: "head" },
        element("span", { className: `method ${operation.method}` }, operation.method.toUpperCase()),
        element("span", { className: "path" }, operation.path),
        element("span", {}, operation.summary || ""),
        element("span", { className: "mark" }, rights),
        element("span", { className: "mark" }, operation["x-aragora-stability"]));
}

function section(spec, operation) {
    const name = `operation${operation.deprecated ? " deprecated" : ""}`;
    if (view === "read")
        return element("section", { id: operation.id, className: name }, head(operation, "h2"),
                       ...details(spec, operation));
    const made = element("details", { id: operation.id, className: name }, head(operation, "summary"));
    made.addEventListener("toggle", () => {
        if (made.children.length === 1)
            made.append(...details(spec, operation));
    });
    return made;
}

/* --- The page ----------------------------------------------------------------------------- */

function operations(spec) {
    const found = [];
    for (const [path, item] of Object.entries(spec.paths))
        for (const method of methods)
            if (item[method])
                found.push({ parameters: [], security: [], ...item[method], path, method,
                             id: `op-${item[method].operationId}`,
                             tag: (item[method].tags || ["Other"])[0] });
    return found;
}

function addGroup(spec, tag, members) {
    const list = element("ul", {});
    const group = element("details", { open: true }, element("summary", {}, `${tag} (${members.length})`), list);
    document.getElementById("index").append(group);
    for (const operation of members) {
        operation.group = group;
        operation.section = section(spec, operation);
        operation.entry = element("li", {}, element("a", { href: `#${operation.id}`, title: operation.summary || "" },
            element("span", { className: `method ${operation.method}` }, operation.method.toUpperCase()),
            operation.path));
        operation.words = [operation.method, operation.path, operation.summary, tag, operation.operationId]
            .join(" ").toLowerCase();
        list.append(operation.entry);
        document.getElementById("operations").append(operation.section);
    }
}

/* All words have to be found. */
function search(all) {
    const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const used = new Set();
    let count = 0;
    for (const operation of all) {
        const fits = words.every((word) => operation.words.includes(word));
        operation.entry.hidden = operation.section.hidden = !fits;
        if (fits) {
            used.add(operation.group);
            count++;
        }
    }
    for (const { group } of all)
        group.hidden = !used.has(group);
    document.getElementById("count").textContent = `${count} of ${all.length} operations`;
}

/* Parts that come into view for the first time get their true height only then, and move it. */
function openWanted() {
    const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let frames = 10;
    const scroll = () => {
        wanted.scrollIntoView();
        if (--frames > 0)
            requestAnimationFrame(scroll);
    };
    if (!wanted)
        return;
    wanted.open = true;
    scroll();
}

async function start() {
    const reply = await fetch("openapi.json");
    if (!reply.ok)
        throw new Error(`openapi.json: ${reply.status}`);
    const spec = await reply.json();
    const all = operations(spec);
    const tags = new Set([...(spec.tags || []).map((tag) => tag.name), ...all.map(({ tag }) => tag)]);
    document.getElementById("version").textContent = spec.info.version;
    document.getElementById("state").remove();
    for (const link of document.querySelectorAll("a[data-path]"))
        link.href = root + link.dataset.path;
    for (const tag of tags)
        addGroup(spec, tag, all.filter((operation) => operation.tag === tag));
    document.getElementById("search").addEventListener("input", () => search(all));
    search(all);
    for (const form of document.querySelectorAll("header form"))
        form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", openWanted);
    openWanted();
}

start().catch((error) => {
    document.getElementById("state").textContent = `The document cannot be read: ${error.message}`;
    document.getElementById("state").className = "error";
});
