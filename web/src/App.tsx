import { QueryClientProvider, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState } from "react";
import { RouterProvider as AriaRouter } from "react-aria-components";
import { BrowserRouter, Navigate, Outlet, Route, Routes, useHref, useLocation, useNavigate } from "react-router";
import { onSignedOut } from "./api/client";
import { createQueries, keys, useSession } from "./api/queries";
import type { Session } from "./api/types";
import { SignAgain } from "./pages/signin/SignAgain";
import { Frame } from "./shell/Frame";
import { EmptyState, ErrorState, Loading } from "./shell/states";

const queries = createQueries();

// Each page is loaded when it is first opened; the viewer's code is large.
const SignIn = lazy(() => import("./pages/signin/SignIn"));
const SetUp = lazy(() => import("./pages/signin/SetUp"));
const Worklist = lazy(() => import("./pages/worklist/Worklist"));
const Study = lazy(() => import("./pages/study/Study"));
const Report = lazy(() => import("./pages/report/Report"));
const Patients = lazy(() => import("./pages/patients/Patients"));
const Patient = lazy(() => import("./pages/patient/Patient"));
const Print = lazy(() => import("./pages/patient/Print"));
const Alarms = lazy(() => import("./pages/alarms/Alarms"));
const Models = lazy(() => import("./pages/models/Models"));
const Audit = lazy(() => import("./pages/audit/Audit"));
const Settings = lazy(() => import("./pages/settings/Settings"));
const Intakes = lazy(() => import("./pages/intakes/Intakes"));
const IntakePage = lazy(() => import("./pages/intakes/IntakePage"));
const Literature = lazy(() => import("./pages/literature/Literature"));
const Agreement = lazy(() => import("./pages/agreement/Agreement"));

/** The pages by their addresses. Each page lies in `pages/`. */
export function App() {
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter>
        <WithAria>
          <Suspense fallback={<Loading />}>
            <Routes>
              <Route path="/signin" element={<SignIn />} />
              <Route path="/setup" element={<SetUp />} />
              <Route element={<SignedIn />}>
                <Route path="/patient/:id/print" element={<Print />} />
                <Route element={<Frame />}>
                  <Route path="/" element={<Home />} />
                  <Route path="/worklist" element={<Worklist />} />
                  <Route path="/study/:uid" element={<Study />} />
                  <Route path="/study/:uid/report" element={<Report />} />
                  <Route path="/patients" element={<Patients />} />
                  <Route path="/patient/:id" element={<Patient />} />
                  <Route path="/alarms" element={<Alarms />} />
                  <Route path="/intakes" element={<Intakes />} />
                  <Route path="/intakes/:name" element={<IntakePage />} />
                  <Route path="/literature" element={<Literature />} />
                  <Route path="/models" element={<Models />} />
                  <Route path="/audit" element={<Audit />} />
                  <Route path="/settings/:section?" element={<Settings />} />
                  <Route path="/agreement" element={<Agreement />} />
                  <Route path="*" element={<EmptyState title="There is no such page" />} />
                </Route>
              </Route>
            </Routes>
          </Suspense>
        </WithAria>
      </BrowserRouter>
    </QueryClientProvider>
  );
}

/** An administrator who does not read has no worklist. */
function Home() {
  const admin = useSession().data?.user?.role === "admin";
  return <Navigate to={admin ? "/settings/users" : "/worklist"} replace />;
}

/** Links inside menus and lists go through the router. */
function WithAria({ children }: { children: React.ReactNode }) {
  const navigate = useNavigate();
  return (
    <AriaRouter navigate={(to) => void navigate(to)} useHref={useHref}>
      {children}
    </AriaRouter>
  );
}

/** Lets nobody past who is not signed in; the address is kept for after signing in. */
function SignedIn() {
  const client = useQueryClient();
  const { data: session, error, refetch } = useSession();
  const location = useLocation();
  // Whose page this is: when the session ends under an open page, the page stays, with what was written on it, until the same
  // person has signed in again.
  const [login, setLogin] = useState("");
  const user = session?.user?.login ?? "";
  if (user && !login) setLogin(user);
  useEffect(
    () =>
      onSignedOut(() => {
        client.setQueryData<Session>(keys.session, (old) => (old ? { ...old, user: null } : old));
      }),
    [client],
  );
  useEffect(() => {
    // Somebody else signed in, here or in another tab: nothing of the one before stays.
    if (login && user && user !== login) window.location.reload();
  }, [login, user]);
  if (!session) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  if (session.setup_needed) return <Navigate to="/setup" replace />;
  if (!session.user && login)
    return (
      <>
        <Outlet />
        <SignAgain login={login} />
      </>
    );
  if (!session.user) {
    const next = location.pathname + location.search;
    return <Navigate to={`/signin?next=${encodeURIComponent(next)}`} replace />;
  }
  return <Outlet />;
}
