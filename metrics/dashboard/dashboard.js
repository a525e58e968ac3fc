// Keeps the page up to date. What comes from the balancer becomes text, never markup.
"use strict";

(() => {
	const patience = 5000; // milliseconds without news before the JSON is asked for
	const points = 60; // of a sparkline
	const rows = new Map(); // by backend: {element, parts, history}
	const total = []; // requests a second
	let last = null; // the report before
	let heard = Date.now(); // when something last came, or was last asked for
	let stream = null;

	const at = (id) => document.getElementById(id);
	const number = new Intl.NumberFormat("en");

	// put changes a text only if it is another, so that screen readers hear news only.
	const put = (element, text) => {
		text = String(text);
		if (element.textContent !== text) element.textContent = text;
	};
	const set = (element, name, value) => {
		if (element.getAttribute(name) !== value) element.setAttribute(name, value);
	};

	const milliseconds = (ms) => {
		if (ms === 0) return "–";
		if (ms < 10) return ms.toFixed(2) + " ms";
		if (ms < 100) return ms.toFixed(1) + " ms";
		return ms < 10000 ? ms.toFixed(0) + " ms" : (ms / 1000).toFixed(1) + " s";
	};
	const rate = (perSecond) => {
		if (perSecond === null) return "–";
		return (perSecond < 10 ? perSecond.toFixed(1) : number.format(Math.round(perSecond))) + "/s";
	};
	const duration = (s) => {
		s = Math.floor(s);
		const two = (n, big, unit, small) => Math.floor(s / n) + " " + big + " " + Math.floor((s % n) / unit) + " " + small;
		if (s >= 86400) return two(86400, "d", 3600, "h");
		if (s >= 3600) return two(3600, "h", 60, "min");
		return s >= 60 ? two(60, "min", 1, "s") : s + " s";
	};

	// since returns how fast a count has grown, or null if that is not known: at first, and when
	// the balancer was started anew or its clock went back.
	const since = (seconds, now, before) =>
		seconds > 0 && before !== undefined && now >= before ? (now - before) / seconds : null;

	const remember = (history, value) => {
		if (value === null) return;
		history.push(value);
		if (history.length > points) history.shift();
	};

	// draw puts the newest value at the right edge.
	const draw = (svg, history) => {
		if (history.length < 2) return;
		const most = Math.max(...history, 1);
		const first = points - history.length;
		const line = history.map((v, i) => first + i + "," + (19 - (18 * v) / most).toFixed(1)).join(" ");
		svg.querySelector("polyline").setAttribute("points", line);
		svg.querySelector("polygon").setAttribute("points", first + ",20 " + line + " " + (points - 1) + ",20");
	};

	const adopt = (element) => {
		const parts = {};
		for (const part of element.querySelectorAll("[data-show]")) parts[part.dataset.show] = part;
		return { element, parts, history: [] };
	};

	const rowOf = (id) => {
		if (!rows.has(id)) rows.set(id, adopt(at("row").content.firstElementChild.cloneNode(true)));
		return rows.get(id);
	};

	const showBackend = (b, before, seconds, shares) => {
		const row = rowOf(b.id);
		const share = shares > 0 ? (100 * b.share) / shares : 0;
		const speed = since(seconds, b.requests, before && before.requests);
		const words = {
			id: b.id,
			url: b.url === b.id ? "" : b.url,
			tags: Object.keys(b.labels || {}).sort().map((key) => key + "=" + b.labels[key]).join(" "),
			state: b.state,
			cause: b.cause || "",
			probe: b.probe_ms ? "probe " + milliseconds(b.probe_ms) : "",
			breaker: b.breaker,
			weight: number.format(b.weight),
			percent: share.toFixed(0) + " %",
			in_flight: number.format(b.in_flight),
			rate: rate(speed),
			requests: number.format(b.requests),
			p50: milliseconds(b.latency_p50_ms),
			p99: milliseconds(b.latency_p99_ms),
			failing: (100 * b.error_rate).toFixed(1) + " %",
			errors: number.format(b.errors),
		};
		for (const name in words) put(row.parts[name], words[name]);
		set(row.element, "data-backend", b.id);
		set(row.element, "data-state", b.state);
		set(row.element, "data-breaker", b.breaker);
		set(row.element.querySelector(".bar rect"), "width", share.toFixed(1));
		remember(row.history, speed);
		draw(row.element.querySelector(".spark"), row.history);
		return row.element;
	};

	const showBackends = (report, seconds) => {
		const before = new Map((last ? last.backends : []).map((b) => [b.id, b]));
		const shares = report.backends.reduce((sum, b) => sum + b.share, 0);
		const body = at("backends");
		const known = new Set();
		report.backends.forEach((b, i) => {
			known.add(b.id);
			const element = showBackend(b, before.get(b.id), seconds, shares);
			if (body.children[i] !== element) body.insertBefore(element, body.children[i] || null);
		});
		for (const [id, row] of rows) {
			if (known.has(id)) continue;
			row.element.remove();
			rows.delete(id);
		}
		at("no-backends").hidden = known.size > 0;
	};

	const verdict = (report, fit) => {
		const n = report.backends.length;
		if (n === 0) return ["bad", "No backends"];
		if (report.available === 0) return ["bad", "No backend is available: requests get 503"];
		if (report.fail_open) return ["bad", `Failing open: ${fit} of ${n} backends are fit`];
		if (fit === n && report.available < n) return ["warn", `${report.available} of ${n} backends are available`];
		return [fit < n ? "warn" : "good", `${fit} of ${n} backends are fit`];
	};

	const showTotals = (report, seconds) => {
		const before = last ? last.totals : {};
		const speed = since(seconds, report.totals.requests, before.requests);
		const fit = report.backends.filter((b) => b.healthy).length;
		const [health, sentence] = verdict(report, fit);
		put(at("verdict"), sentence);
		set(at("verdict"), "data-health", health);
		put(at("policy"), report.policy);
		at("policy").parentElement.hidden = !report.policy;
		put(at("uptime"), duration(report.uptime_seconds));
		put(at("total-rate"), rate(speed));
		put(at("error-rate"), rate(since(seconds, report.totals.errors, before.errors)));
		put(at("retry-rate"), rate(since(seconds, report.totals.retries, before.retries)));
		for (const name of ["requests", "errors", "retries"]) put(at("total-" + name), number.format(report.totals[name]));
		put(at("active"), number.format(report.active));
		put(at("queued"), number.format(report.queued));
		put(at("available"), report.available);
		put(at("known"), report.backends.length);
		put(at("fit"), fit);
		remember(total, speed);
		draw(at("total-spark"), total);
		document.title = `${fit}/${report.backends.length} fit · ${report.title}`;
	};

	// list replaces the items of a list if they are other ones.
	const list = (id, items, make) => {
		const key = JSON.stringify(items);
		if (at(id).listed === key) return;
		at(id).listed = key;
		at(id).replaceChildren(...items.map(make));
		at("no-" + id).hidden = items.length > 0;
	};

	const eventItem = (event) => {
		const item = document.createElement("li");
		const time = document.createElement("time");
		const text = document.createElement("span");
		time.dateTime = event.time;
		time.textContent = new Date(event.time).toLocaleTimeString("en-GB");
		text.textContent = event.text;
		item.append(time, text);
		return item;
	};

	const featureItem = (name) => {
		const item = document.createElement("li");
		item.textContent = name;
		return item;
	};

	const show = (report) => {
		heard = Date.now();
		const seconds = last ? (Date.parse(report.time) - Date.parse(last.time)) / 1000 : 0;
		showTotals(report, seconds);
		showBackends(report, seconds);
		list("events", report.events, eventItem);
		list("features", report.features, featureItem);
		last = report;
	};

	const link = (state, words) => {
		put(at("link"), words);
		set(at("link"), "data-link", state);
	};

	const listen = () => {
		stream = new EventSource(document.body.dataset.stream);
		stream.onmessage = (message) => {
			show(JSON.parse(message.data));
			link("live", "Live");
		};
	};

	// watch asks for the JSON when the stream is silent, and opens the stream anew if it is closed.
	const watch = async () => {
		if (Date.now() - heard < patience) return;
		heard = Date.now();
		if (stream.readyState === EventSource.CLOSED) listen();
		try {
			const answer = await fetch(document.body.dataset.json, { cache: "no-store" });
			if (!answer.ok) throw new Error(answer.statusText);
			show(await answer.json());
			link("polling", "Every 5 seconds");
		} catch {
			link("lost", "No connection");
		}
	};

	for (const element of at("backends").children) rows.set(element.dataset.backend, adopt(element));
	listen();
	setInterval(watch, 1000);
	addEventListener("pagehide", () => stream.close());
})();
